"""Constants of the binary format that reader and writer share."""

from __future__ import annotations

from enum import IntEnum

CORE_PREAMBLE = b"\0asm\x01\0\0\0"
COMPONENT_PREAMBLE = b"\0asm\x0d\0\x01\0"

FUNC_TYPE = 0x60
END = 0x0B
ELEM_KIND_FUNCREF = 0x00


class SectionId(IntEnum):
    """Sections of a core module, by their id."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


# Ids were given in order of invention: the tag and the data count section stand before sections of a lower id.
SECTION_ORDER = (
    SectionId.TYPE,
    SectionId.IMPORT,
    SectionId.FUNCTION,
    SectionId.TABLE,
    SectionId.MEMORY,
    SectionId.TAG,
    SectionId.GLOBAL,
    SectionId.EXPORT,
    SectionId.START,
    SectionId.ELEMENT,
    SectionId.DATA_COUNT,
    SectionId.CODE,
    SectionId.DATA,
)

# Bits of the byte in front of the limits of a table or memory.
LIMITS_HAS_MAXIMUM = 0x01
LIMITS_SHARED = 0x02
LIMITS_64 = 0x04

# Bits of the number in front of an element segment. The second bit tells a declared from a passive segment when the
# first is set, and a table index from the implied table 0 when it is not. Data segments use the first two likewise.
SEGMENT_NOT_ACTIVE = 0x01
SEGMENT_EXPLICIT_OR_DECLARED = 0x02
SEGMENT_EXPRESSIONS = 0x04

I32_CONST = 0x41
I64_CONST = 0x42
F32_CONST = 0x43
F64_CONST = 0x44
GLOBAL_GET = 0x23
REF_NULL = 0xD0
REF_FUNC = 0xD2

# i32 and i64 `add`, `sub`, `mul`: the arithmetic of extended constant expressions.
CONST_ARITHMETIC = frozenset((0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E))
