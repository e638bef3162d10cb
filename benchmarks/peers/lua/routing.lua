local rules, default = configuration.rules, configuration.default

local function route(path)
  for i = 1, #rules do
    if string.find(path, rules[i].pattern) then
      return rules[i].route
    end
  end
  return default
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace("x-route", route(headers:get(":path")))
end
