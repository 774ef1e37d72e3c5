-- The key's value and remaining milliseconds (negative: for ever), or nothing.
-- pcall: a key of another type makes GET an error, and is held by somebody else.
local value = redis.pcall('GET', KEYS[1])
if value == false then
  return false
end
if type(value) ~= 'string' then
  value = ''
end
return { value, redis.call('PTTL', KEYS[1]) }
