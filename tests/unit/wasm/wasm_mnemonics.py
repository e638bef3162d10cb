"""What the text format calls the instructions that compute, load and store."""

_I_COMPARISONS = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_F_COMPARISONS = "eq ne lt gt le ge"
_I_UNARY = "clz ctz popcnt"
_I_BINARY = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
_F_UNARY = "abs neg ceil floor trunc nearest sqrt"
_F_BINARY = "add sub mul div min max copysign"

_RUNS = {
    0x28: "i32.load i64.load f32.load f64.load",
    0x2C: "i32.load8_s i32.load8_u i32.load16_s i32.load16_u",
    0x30: "i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u",
    0x36: "i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32",
    0x45: "i32.eqz",
    0x46: [f"i32.{name}" for name in _I_COMPARISONS.split()],
    0x50: "i64.eqz",
    0x51: [f"i64.{name}" for name in _I_COMPARISONS.split()],
    0x5B: [f"f32.{name}" for name in _F_COMPARISONS.split()],
    0x61: [f"f64.{name}" for name in _F_COMPARISONS.split()],
    0x67: [f"i32.{name}" for name in f"{_I_UNARY} {_I_BINARY}".split()],
    0x79: [f"i64.{name}" for name in f"{_I_UNARY} {_I_BINARY}".split()],
    0x8B: [f"f32.{name}" for name in f"{_F_UNARY} {_F_BINARY}".split()],
    0x99: [f"f64.{name}" for name in f"{_F_UNARY} {_F_BINARY}".split()],
    0xA7: "i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u",
    0xAC: "i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u",
    0xB2: "f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64",
    0xB7: "f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32",
    0xBC: "i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64",
    0xC0: "i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s",
    0xFC00: "i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u",
    0xFC04: "i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u",
}

MNEMONICS = {
    opcode: name
    for start, names in _RUNS.items()
    for opcode, name in enumerate(names.split() if isinstance(names, str) else names, start)
}
"""Opcode as in `wasm.code` -> name."""
