"""A Backup in two versions: converted between them, and made a CronJob."""
