"""Certificates and files as operators replace them."""
import os
import shutil
import subprocess
import time


def write(path, text):
    """As a whole: nobody reads half of it."""
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
    return path


class Authority:
    """A certificate authority in a directory, by openssl."""

    def __init__(self, directory, name):
        os.makedirs(directory, exist_ok=True)
        self.dir, self.name = directory, name
        self.key, self.pem = os.path.join(directory, name + ".key"), os.path.join(directory, name + ".pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                      "-out", self.pem, "-days", "2", "-subj", f"/CN={name}")

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    def text(self):
        with open(self.pem) as f:
            return f.read()

    def issue(self, certificate, key, subject, seconds=86400, san=None):
        """A leaf that ends in so many seconds (before now where negative), replaced as files are: key and all."""
        base = certificate + ".new"
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base + ".key",
                      "-out", base + ".csr", "-subj", subject)
        extensions = base + ".ext"
        with open(extensions, "w") as f:
            f.write((f"subjectAltName={san}\n" if san else "") + "extendedKeyUsage=serverAuth,clientAuth\n")
        end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
        begin = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 3600))
        database = base + ".db"
        shutil.rmtree(database, ignore_errors=True)
        os.makedirs(database)
        open(os.path.join(database, "index.txt"), "w").close()
        config = os.path.join(database, "ca.cnf")
        with open(config, "w") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndir={database}\ndatabase={database}/index.txt\nnew_certs_dir={database}\n"
                    "rand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\nCN=supplied\nO=optional\n")
        self._openssl("ca", "-batch", "-config", config, "-cert", self.pem, "-keyfile", self.key, "-in", base + ".csr",
                      "-out", base + ".crt", "-startdate", begin, "-enddate", end, "-extfile", extensions, "-notext")
        os.replace(base + ".key", key)
        os.replace(base + ".crt", certificate)
