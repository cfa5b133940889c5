#include "schema/formats.h"

#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/strings.h"

namespace gs::schema {
namespace {

bool all_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

// Each pattern is compiled once for the process.
bool matches(const char* pattern, std::string_view text) {
  thread_local std::vector<std::pair<const char*, std::unique_ptr<re2::RE2>>> compiled;
  const auto found = std::find_if(compiled.begin(), compiled.end(), [&](const auto& c) { return c.first == pattern; });
  re2::RE2* re = found != compiled.end() ? found->second.get() : compiled.emplace_back(pattern, std::make_unique<re2::RE2>(pattern)).second.get();
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *re);
}

bool is_address(int family, std::string_view text) {
  char out[sizeof(in6_addr)];
  return inet_pton(family, std::string(text).c_str(), out) == 1;
}

// As net/netip's forefathers did: leading zeros are read as decimal.
bool is_ipv4(std::string_view text) {
  const auto parts = split(text, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](std::string_view p) {
    return all_digits(p) && parse_uint(p).value_or(256) <= 255;
  });
}

bool is_ipv6(std::string_view text) { return text.find(':') != std::string_view::npos && is_address(AF_INET6, text); }

bool is_cidr(std::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || !all_digits(text.substr(slash + 1))) return false;
  const std::string_view address = text.substr(0, slash);
  const uint64_t bits = parse_uint(text.substr(slash + 1)).value_or(999);
  return (is_ipv4(address) && bits <= 32) || (is_ipv6(address) && bits <= 128);
}

bool is_date(std::string_view text) {
  if (!matches("[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) return false;
  const uint64_t year = *parse_uint(text.substr(0, 4)), month = *parse_uint(text.substr(5, 2)), day = *parse_uint(text.substr(8, 2));
  constexpr uint64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

bool is_datetime(std::string_view text) {
  const std::string lower = to_lower(text);
  const size_t t = lower.find('t');
  if (t == std::string::npos || !is_date(std::string_view(lower).substr(0, t))) return false;
  const std::string_view time = std::string_view(lower).substr(t + 1);
  return matches("([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", time) && time.substr(0, 2) <= "23" &&
         time.substr(3, 2) <= "59" && time.substr(6, 2) <= "59";
}

bool is_hostname(std::string_view text) {
  if (text.size() > 255 || !matches("([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}](([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9"
                                    "\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})",
                                    text)) {
    return false;
  }
  const auto parts = split(text, '.');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view p) { return p.size() <= 63; });
}

// The check digits of ISO 2108.
bool is_isbn(std::string_view text, size_t digits) {
  std::string plain;
  for (const char c : text) {
    if (c != '-' && c != ' ') plain += c;
  }
  if (plain.size() != digits) return false;
  if (!all_digits(plain.substr(0, 9)) || (digits == 13 && !all_digits(plain))) return false;
  uint64_t sum = 0;
  if (digits == 13) {
    for (size_t i = 0; i < 13; ++i) sum += static_cast<uint64_t>(plain[i] - '0') * (i % 2 == 0 ? 1 : 3);
    return sum % 10 == 0;
  }
  for (size_t i = 0; i < 9; ++i) sum += (i + 1) * static_cast<uint64_t>(plain[i] - '0');
  if (plain[9] != 'X' && (plain[9] < '0' || plain[9] > '9')) return false;
  return (sum + 10 * (plain[9] == 'X' ? 10u : static_cast<uint64_t>(plain[9] - '0'))) % 11 == 0;
}

bool is_credit_card(std::string_view text) {
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char c) { return c >= '0' && c <= '9'; });
  if (!matches("(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\\d{3})\\d{11})", plain)) {
    return false;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    uint64_t digit = static_cast<uint64_t>(plain[plain.size() - 1 - i] - '0') * (i % 2 == 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 == 0;
}

bool is_uri(std::string_view text) {
  if (text.empty() || text.find_first_of(" \t\r\n\x7f") != std::string_view::npos) return false;
  return text[0] == '/' || matches("[a-zA-Z][a-zA-Z0-9+.-]*:.+", text);
}

// What net/mail.ParseAddress takes: an address, or a name and an address in brackets.
bool is_email(std::string_view text) {
  constexpr const char* kAddress = "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@([a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*|\\[[^\\]]+\\])";
  text = trim(text);
  if (text.ends_with('>')) {
    const size_t open = text.rfind('<');
    return open != std::string_view::npos && matches(kAddress, text.substr(open + 1, text.size() - open - 2));
  }
  return matches(kAddress, text);
}

bool is_duration(std::string_view text) {
  if (is_go_duration(text)) return true;
  thread_local const re2::RE2 part("(\\d+)\\s*([A-Za-zµ]+)");
  constexpr std::string_view kUnits[] = {"ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day", "w", "week", "wk"};
  re2::StringPiece rest(text.data(), text.size());
  std::string number, unit;
  while (re2::RE2::FindAndConsume(&rest, part, &number, &unit)) {
    const std::string lower = to_lower(unit);
    if (std::any_of(std::begin(kUnits), std::end(kUnits), [&](std::string_view u) { return lower == u || (u.size() > 2 && lower.starts_with(u)); })) return true;
  }
  return false;
}

struct Format {
  std::string_view name;
  bool (*check)(std::string_view);
};

constexpr Format kFormats[] = {
    {"bsonobjectid", [](std::string_view t) { return matches("[0-9a-fA-F]{24}", t); }},
    {"uri", is_uri},
    {"email", is_email},
    {"hostname", is_hostname},
    {"ipv4", is_ipv4},
    {"ipv6", is_ipv6},
    {"cidr", is_cidr},
    {"mac", [](std::string_view t) {
       return matches("([0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){7}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){19}|[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){2}|"
                      "[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){3}|[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){9})",
                      t);
     }},
    {"uuid", [](std::string_view t) { return matches("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", t); }},
    {"uuid3", [](std::string_view t) { return matches("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}", t); }},
    {"uuid4", [](std::string_view t) { return matches("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", t); }},
    {"uuid5", [](std::string_view t) { return matches("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}", t); }},
    {"isbn", [](std::string_view t) { return is_isbn(t, 10) || is_isbn(t, 13); }},
    {"isbn10", [](std::string_view t) { return is_isbn(t, 10); }},
    {"isbn13", [](std::string_view t) { return is_isbn(t, 13); }},
    {"creditcard", is_credit_card},
    {"ssn", [](std::string_view t) { return matches("\\d{3}[- ]?\\d{2}[- ]?\\d{4}", t); }},
    {"hexcolor", [](std::string_view t) { return matches("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", t); }},
    {"rgbcolor", [](std::string_view t) {
       return matches("rgb\\(\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*\\)", t);
     }},
    {"byte", [](std::string_view t) { return matches("(?:[A-Za-z0-9+\\/]{4})*(?:[A-Za-z0-9+\\/]{2}==|[A-Za-z0-9+\\/]{3}=|[A-Za-z0-9+\\/]{4})", t); }},
    {"password", [](std::string_view) { return true; }},
    {"date", is_date},
    {"duration", is_duration},
    {"datetime", is_datetime},
    {"k8sshortname", [](std::string_view t) { return t.size() <= 63 && matches("[a-z0-9]([-a-z0-9]*[a-z0-9])?", t); }},
    {"k8slongname", [](std::string_view t) { return t.size() <= 253 && matches("[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", t); }},
};

// Names count without their dashes: date-time is datetime (strfmt.DefaultNameNormalizer).
const Format* find(std::string_view dashed) {
  std::string name(dashed);
  std::erase(name, '-');
  const auto* found = std::find_if(std::begin(kFormats), std::end(kFormats), [&](const Format& f) { return f.name == name; });
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace

bool is_quantity(std::string_view text) {
  return matches("[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(|[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)", text);
}

std::string canonical_quantity(std::string_view quantity) {
  const std::string original(quantity);
  const size_t end = quantity.find_first_not_of("+-.0123456789");
  std::string_view number = quantity.substr(0, end);
  const std::string_view suffix = end == std::string_view::npos ? std::string_view() : quantity.substr(end);
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.remove_prefix(1);
  // The amount in billionths, as a whole number; what does not fit stays as it was written.
  const size_t dot = number.find('.');
  std::string digits(number.substr(0, dot));
  std::string fraction(dot == std::string_view::npos ? "" : number.substr(dot + 1));
  if (digits.size() + fraction.size() > 18 || fraction.size() > 9) return original;
  fraction.resize(9, '0');
  __int128 nano = 0;
  for (const char c : digits + fraction) nano = nano * 10 + (c - '0');
  constexpr std::string_view kBinary[] = {"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  constexpr std::string_view kDecimal[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  constexpr __int128 kNano = 1000000000, kLimit = static_cast<__int128>(1) << 118;
  const auto scale = [&](__int128 factor, int64_t times) {
    for (; times > 0 && nano < kLimit / factor; --times) nano *= factor;
    return times == 0;
  };
  const auto* binary = std::find(std::begin(kBinary), std::end(kBinary), suffix);
  if (binary != std::end(kBinary)) {
    if (!scale(1024, binary - std::begin(kBinary) + 1)) return original;
  } else if (const auto* decimal = std::find(std::begin(kDecimal), std::end(kDecimal), suffix); decimal != std::end(kDecimal)) {
    const int64_t power = decimal - std::begin(kDecimal) - 3;
    if (power >= 0 ? !scale(1000, power) : false) return original;
    for (int64_t i = power; i < 0; ++i) {
      if (nano % 1000 != 0) return original;
      nano /= 1000;
    }
  } else {
    return original;  // with an exponent
  }
  const auto text = [&](__int128 value, std::string_view unit) {
    std::string out(unit);
    do out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    while ((value /= 10) > 0);
    return (negative && nano != 0 ? "-" : "") + out;
  };
  if (nano == 0) return "0";
  if (binary != std::end(kBinary) && nano % kNano == 0 && nano / kNano >= 1024) {
    __int128 whole = nano / kNano;
    size_t unit = 0;
    while (unit < std::size(kBinary) && whole % 1024 == 0) {
      whole /= 1024;
      ++unit;
    }
    return text(whole, unit == 0 ? std::string_view() : kBinary[unit - 1]);
  }
  size_t unit = 0;
  __int128 rest = nano;
  while (unit + 1 < std::size(kDecimal) && rest % 1000 == 0) {
    rest /= 1000;
    ++unit;
  }
  return text(rest, kDecimal[unit]);
}

bool is_go_duration(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text == "0" || matches("(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+", text);
}

size_t base64_problem(std::string_view text) {
  const size_t bad = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n");
  return bad == std::string_view::npos ? text.size() / 4 * 4 : bad;
}

bool known_format(std::string_view format) { return find(format) != nullptr; }

bool has_format(std::string_view format, std::string_view text) {
  const Format* found = find(format);
  return found == nullptr || found->check(text);
}

}  // namespace gs::schema
