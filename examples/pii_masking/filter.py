"""Mask personal data in bodies while they stream through: e-mail addresses, card numbers, IBANs, US social security
numbers.

Configuration (JSON, every member optional):

    {"mask": ["email", "card", "iban", "ssn"], "requests": true, "responses": true, "opaque": "refuse",
     "content_types": ["text/.*", "application/json"]}

A masked text is as long as it was, so content-length stays right: `ada@example.com` becomes `xxx@xxxxxxx.xxx`, and the
digits of a card number but the last four become 9, so that a number in JSON is still one. At most a few hundred bytes
are held back: those at the end of a chunk with which something may begin. `opaque` says what happens to bodies of these
types that cannot be read, being compressed or in UTF-16.
"""

import logging
import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from enum import Enum

from pywasm_filter import Action, Body, HttpContext, Request, Response, RootContext, register_root_context

logger = logging.getLogger(__name__)

LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = b"0123456789"
# What the part before the @ may consist of (RFC 5322, and UTF-8), without what ends it in URLs and forms.
LOCAL = LETTERS + DIGITS + b".!#$%'*+^_`{|}~-" + bytes(range(0x80, 0x100))
DIGESTS = ("content-digest", "repr-digest", "digest", "content-md5")
TEXT = re.compile(r"text/.*|application/(.*\+)?(json|xml)|application/(x-ndjson|javascript|x-www-form-urlencoded)")


class Kind(Enum):
    EMAIL = "email"
    CARD = "card"
    IBAN = "iban"
    SSN = "ssn"


@dataclass(frozen=True)
class Detector:
    """What to look for. A match consists of bytes of `alphabet`; the pattern never looks at more than `width` bytes
    from its start on, the one behind the match included, nor at more than one byte before."""

    pattern: re.Pattern[bytes]
    alphabet: bytes
    width: int
    mask: Callable[[bytes], bytes]
    accepts: Callable[[bytes], bool] = lambda _: True


def luhn(text: bytes) -> bool:
    """Whether the digits of a card number have the right check digit."""
    digits = [byte - 48 for byte in reversed(text) if byte in DIGITS]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def mod97(text: bytes) -> bool:
    """Whether an IBAN has the right check digits (ISO 7064)."""
    return int("".join(str(int(chr(byte), 36)) for byte in text[4:] + text[:4])) % 97 == 1


def mask_email(text: bytes) -> bytes:
    return re.sub(rb"[^@.]", b"x", text)


def mask_digits(text: bytes) -> bytes:
    return re.sub(rb"[0-9]", b"9", text[:-4]) + text[-4:]


def mask_iban(text: bytes) -> bytes:
    return text[:2] + b"X" * (len(text) - 6) + text[-4:]


DETECTORS = {
    Kind.EMAIL: Detector(
        re.compile(
            rb"(?<![%(local)s])[%(local)s]{1,64}(?:@|%%40)[a-zA-Z0-9\x80-\xff.-]{1,190}\.[a-zA-Z]{2,24}"
            % {b"local": re.escape(LOCAL)}
        ),
        LOCAL + b"@",
        64 + 3 + 190 + 1 + 24,
        mask_email,
    ),
    Kind.IBAN: Detector(
        re.compile(rb"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}(?![A-Za-z0-9])"),
        LETTERS + DIGITS,
        35,
        mask_iban,
        mod97,
    ),
    Kind.CARD: Detector(
        re.compile(
            rb"(?<![0-9])(?:[2-6][0-9]{12,18}"
            rb"|[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
            rb"|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9])"
        ),
        DIGITS + b" -",
        24,
        mask_digits,
        luhn,
    ),
    Kind.SSN: Detector(re.compile(rb"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])"), DIGITS + b"-", 12, mask_digits),
}


class Masker:
    """Masks what one detector finds in a text that comes in pieces. How it is cut makes no difference."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._text = b""
        """What is not decided yet, after `_passed` bytes that have been given out: patterns look behind."""
        self._passed = 0

    def __len__(self) -> int:
        """How many bytes are held back."""
        return len(self._text) - self._passed

    def feed(self, data: bytes, end: bool) -> bytes:
        """Take a piece; give out all that is decided, which is everything at the end."""
        detector, text = self._detector, self._text + data
        undecided = len(text)
        if not end:
            undecided = max(len(text.rstrip(detector.alphabet)), len(text) - detector.width + 1, self._passed)
        pieces, given, position = [], self._passed, self._passed
        while (match := detector.pattern.search(text, position)) is not None and match.start() < undecided:
            position = match.start() + 1
            if detector.accepts(match[0]):
                pieces += [text[given : match.start()], detector.mask(match[0])]
                given = position = match.end()
        rest = max(given, undecided)
        pieces.append(text[given:rest])
        self._passed = min(rest, 1)
        self._text = text[rest - self._passed :]
        return b"".join(pieces)


class MaskerChain:
    """Masks what several detectors find, one after the other."""

    def __init__(self, kinds: Set[Kind]) -> None:
        self._maskers = [Masker(detector) for kind, detector in DETECTORS.items() if kind in kinds]

    def __len__(self) -> int:
        """How many bytes are held back."""
        return sum(len(masker) for masker in self._maskers)

    def feed(self, data: bytes, end: bool) -> bytes:
        """As `Masker.feed`."""
        for masker in self._maskers:
            data = masker.feed(data, end)
        return data


class Opaque(Enum):
    REFUSE = "refuse"
    PASS = "pass"


@dataclass(frozen=True)
class Config:
    """What is masked, and where."""

    mask: frozenset[Kind] = frozenset(DETECTORS)
    requests: bool = True
    responses: bool = True
    opaque: Opaque = Opaque.REFUSE
    content_types: tuple[re.Pattern[str], ...] = (TEXT,)


class PiiMasking(HttpContext["PiiMaskingRoot"]):
    """One exchange; None where nothing is to be masked."""

    request_masker: MaskerChain | None = None
    response_masker: MaskerChain | None = None

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        if config.responses:
            for name in ("accept-encoding", "range", "if-range"):  # a part could begin in the middle of an address
                self.request.headers.discard(name)
        if config.requests and not end_of_stream and self.concerns(self.request):
            if is_opaque(self.request) and config.opaque is Opaque.REFUSE:
                return self.send_local_response(415, body="this encoding cannot be checked\n", details="pii_opaque")
            self.request_masker = self.begin(self.request)
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        return mask(self.request.body, self.request_masker, end_of_stream)

    def on_request_trailers(self, num_trailers: int) -> Action:
        if self.request_masker:  # too late for the rest of the body: there is no way to send it now
            logger.warning("a request has trailers right after text that was held back")
            return self.send_local_response(400, body="trailers are not supported\n", details="pii_trailers")
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        if config.responses and not end_of_stream and self.concerns(self.response):
            if is_opaque(self.response) and config.opaque is Opaque.REFUSE:
                logger.warning("a response is refused: its encoding cannot be read")
                return self.send_local_response(502, body="this encoding cannot be checked\n", details="pii_opaque")
            self.response_masker = self.begin(self.response)
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        return mask(self.response.body, self.response_masker, end_of_stream)

    def on_response_trailers(self, num_trailers: int) -> Action:
        if self.response_masker:
            logger.warning("a response has trailers right after text that was held back")
            self.reset()
            return Action.PAUSE
        return Action.CONTINUE

    def concerns(self, message: Request | Response) -> bool:
        """Whether the body is of a type that is masked."""
        media_type = (message.headers.get("content-type") or "").partition(";")[0].strip().lower()
        return any(pattern.fullmatch(media_type) for pattern in self.root.config.content_types)

    def begin(self, message: Request | Response) -> MaskerChain | None:
        """Prepare for the body; the digests of it would be wrong."""
        if is_opaque(message):
            return None
        for name in DIGESTS:
            message.headers.discard(name)
        return MaskerChain(self.root.config.mask)


class PiiMaskingRoot(RootContext[Config]):
    """The plugin: its configuration says what is masked."""

    http_context = PiiMasking


def is_opaque(message: Request | Response) -> bool:
    """Whether the body is compressed, or has no ASCII in it."""
    encodings = ",".join(message.headers.getall("content-encoding")).replace(" ", "").lower()
    content_type = (message.headers.get("content-type") or "").lower()
    return encodings not in ("", "identity") or re.search(r"charset=\"?(utf-?(16|32)|ucs-)", content_type) is not None


def mask(body: Body, masker: MaskerChain | None, end: bool) -> Action:
    """Mask the part of a body that has arrived."""
    if masker is not None:
        data = body.read()
        masked = masker.feed(data, end)
        if masked != data:
            body.replace(masked)
    return Action.CONTINUE


register_root_context(PiiMaskingRoot, "pii_masking")
