-- SHA-256 and HMAC on LuaJIT's bit operations (FIPS 180-4, RFC 2104); Envoy's Lua has none.
local band, bxor, bnot, rshift, ror, tobit = bit.band, bit.bxor, bit.bnot, bit.rshift, bit.ror, bit.tobit

-- The first 32 bits of the fractional parts of the roots of the first primes.
local function fraction(number)
  return tobit(math.floor((number % 1) * 2 ^ 32))
end

local K, INITIAL = {}, {}
do
  local candidate = 2
  while #K < 64 do
    local prime = true
    for _, factor in ipairs({ 2, 3, 5, 7, 11, 13, 17 }) do
      if candidate ~= factor and candidate % factor == 0 then
        prime = false
      end
    end
    if prime then
      K[#K + 1] = fraction(candidate ^ (1 / 3))
      if #INITIAL < 8 then
        INITIAL[#INITIAL + 1] = fraction(math.sqrt(candidate))
      end
    end
    candidate = candidate + 1
  end
end

local W = {}

local function compress(state, text, from)
  for i = 1, 16 do
    local a, b, c, d = string.byte(text, from + 4 * i - 4, from + 4 * i - 1)
    W[i] = tobit(((a * 256 + b) * 256 + c) * 256 + d)
  end
  for i = 17, 64 do
    local x, y = W[i - 15], W[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  for i = 1, 64 do
    local t1 = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i] + W[i])
    local t2 = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
    h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
  end
  return {
    tobit(state[1] + a), tobit(state[2] + b), tobit(state[3] + c), tobit(state[4] + d),
    tobit(state[5] + e), tobit(state[6] + f), tobit(state[7] + g), tobit(state[8] + h),
  }
end

local function big_endian(number)
  return string.char(band(rshift(number, 24), 255), band(rshift(number, 16), 255), band(rshift(number, 8), 255), band(number, 255))
end

-- The digest of what `state` has of `before` bytes, and then `text`.
local function finish(state, text, before)
  local zeros = (55 - #text) % 64
  local padded = text .. "\128" .. string.rep("\0", zeros) .. big_endian(0) .. big_endian((before + #text) * 8)
  for from = 1, #padded, 64 do
    state = compress(state, padded, from)
  end
  local words = {}
  for i = 1, 8 do
    words[i] = big_endian(state[i])
  end
  return table.concat(words)
end

-- A function that computes HMAC-SHA256 with a key of at most 64 bytes.
local function hmac_sha256(key)
  local function begin(byte)
    local block = key:gsub(".", function(c)
      return string.char(bxor(c:byte(), byte))
    end)
    return compress(INITIAL, block .. string.rep(string.char(byte), 64 - #key), 1)
  end
  local inner, outer = begin(0x36), begin(0x5c)
  return function(text)
    return finish(outer, finish(inner, text, 64), 64)
  end
end
