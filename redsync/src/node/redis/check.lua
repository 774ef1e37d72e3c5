-- Checks whether a lock on a name could be extended and released: whether scripts run at all, and
-- whether the user may run these commands in them. Changes nothing.
-- KEYS: the name. Returns 1, or 0 if the key exists, because then the commands would change it.
local function refused(command, reply)
  local is_error = type(reply) == 'table' and not string.find(reply.err, 'WRONGTYPE')
  -- The error of a command that is not permitted does not say which it is.
  return is_error and { err = reply.err .. ' (' .. command .. ')' }
end

local found = redis.pcall('GET', KEYS[1])
if found then
  return refused('GET', found) or 0
end
return refused('PEXPIRE', redis.pcall('PEXPIRE', KEYS[1], 1))
  or refused('DEL', redis.pcall('DEL', KEYS[1]))
  or 1
