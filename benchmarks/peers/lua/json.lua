local dkjson = require("dkjson")

local removed = {}
for _, name in ipairs(configuration.remove_from_response) do
  removed[name] = true
end

local function remove(value)
  if type(value) ~= "table" then
    return
  end
  for name, member in pairs(value) do
    if removed[name] then
      value[name] = nil
    else
      remove(member)
    end
  end
end

function envoy_on_response(handle)
  if handle:headers():get("content-type") ~= "application/json" then
    return
  end
  local body = handle:body()
  local document = dkjson.decode(body:getBytes(0, body:length()), 1, dkjson.null)
  remove(document)
  local size = body:setBytes(dkjson.encode(document))
  handle:headers():replace("content-length", tostring(size))
end
