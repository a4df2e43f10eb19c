-- label-before.lua: label.lua as it was before somebody wanted to fetch an order himself.
return function(address) return address.name .. ", " .. address.street:upper() end
