-- Raises the counters to a token, if the owner holds all names and no counter is above the token.
-- KEYS: the names, then their counters.
-- ARGV: owner value, token, number of names, retention of counters in ms.
-- Returns 1 if the counters are at the token, else 0.
local value, token, names = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 1, names do
  if redis.pcall('GET', KEYS[i]) ~= value then
    return 0
  end
end
for i = names + 1, #KEYS do
  if larger(counter(KEYS[i]), token) then
    return 0
  end
end
for i = names + 1, #KEYS do
  redis.call('SET', KEYS[i], token, 'PX', ARGV[4])
end
return 1
