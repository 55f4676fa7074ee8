import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-lease-may-not-ask-for-more-time
claim A lease that asks for a longer break time than the mount's gets the mount's.
rules B1 B5
break-time 500
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read break-time 50000
breaker:  t = truncate f 0 -> waits
pass 700
t -> ok
lease A revoked
`)
