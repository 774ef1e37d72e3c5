-- Finds out whether a lock on a name could be extended and released: whether scripts run at all, and
-- whether the user may run these commands in them. Changes nothing.
-- KEYS: the name. Returns 1, or 0 if the key exists, because then the commands would change it.
local found = redis.pcall('GET', KEYS[1])
if not found then
  redis.call('PEXPIRE', KEYS[1], 1)
  redis.call('DEL', KEYS[1])
  return 1
elseif type(found) == 'table' and not string.find(found.err, 'WRONGTYPE') then
  return found
end
return 0
