-- label.lua: what stands on a parcel.
return function(address)
  if not address.street then return address.name .. ", fetches it" end
  return address.name .. ", " .. address.street:upper()
end
