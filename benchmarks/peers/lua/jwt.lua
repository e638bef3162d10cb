local dkjson = require("dkjson")

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local VALUES = {}
for i = 1, 64 do
  VALUES[ALPHABET:byte(i)] = i - 1
end

local function decode_base64url(text)
  local bytes, bits, count = {}, 0, 0
  for i = 1, #text do
    local value = VALUES[text:byte(i)]
    if not value then
      return nil
    end
    bits, count = bits * 64 + value, count + 6
    if count >= 8 then
      count = count - 8
      local divisor = 2 ^ count
      bytes[#bytes + 1] = string.char(math.floor(bits / divisor))
      bits = bits % divisor
    end
  end
  return table.concat(bytes)
end

local function constant_time_equal(a, b)
  if #a ~= #b then
    return false
  end
  local difference = 0
  for i = 1, #a do
    difference = bit.bor(difference, bxor(a:byte(i), b:byte(i)))
  end
  return difference == 0
end

local hmac = hmac_sha256(decode_base64url(configuration.keys[1].k))
local SKEW = 30

local function object(text)
  local value = text and dkjson.decode(text)
  return type(value) == "table" and value or nil
end

local function for_us(audience)
  for _, named in ipairs(type(audience) == "table" and audience or { audience }) do
    for _, accepted in ipairs(configuration.audiences) do
      if named == accepted then
        return true
      end
    end
  end
  return false
end

local function verify(authorization, now)
  local header_part, claims_part, signature_part =
    string.match(authorization or "", "^[Bb]earer ([%w_-]+)%.([%w_-]+)%.([%w_-]*)$")
  if not header_part then
    return nil
  end
  local header, signature = object(decode_base64url(header_part)), decode_base64url(signature_part)
  if not header or header.alg ~= "HS256" or not signature then
    return nil
  end
  if not constant_time_equal(hmac(header_part .. "." .. claims_part), signature) then
    return nil
  end
  local claims = object(decode_base64url(claims_part))
  if not claims or type(claims.exp) ~= "number" or now >= claims.exp + SKEW then
    return nil
  end
  if claims.nbf and (type(claims.nbf) ~= "number" or now < claims.nbf - SKEW) then
    return nil
  end
  if claims.iss ~= configuration.issuer or not for_us(claims.aud) then
    return nil
  end
  return claims
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local claims = verify(headers:get("authorization"), os.time())
  if not claims then
    handle:respond({ [":status"] = "401", ["www-authenticate"] = "Bearer" }, "the token is refused\n")
    return
  end
  for name, claim in pairs(configuration.claim_headers) do
    headers:remove(name)
    if claims[claim] then
      headers:add(name, tostring(claims[claim]))
    end
  end
  headers:remove("authorization")
end
