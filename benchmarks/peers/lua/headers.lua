function envoy_on_request(handle)
  handle:headers():replace("x-hello", configuration)
end

function envoy_on_response(handle)
  handle:headers():replace("x-hello", configuration)
end
