import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/setuid-later-changes-nothing
claim A process that gives up its rights keeps the leases it took with them.
rules L8
question What if the holder changes its user after it took the lease?
file f
process holder root
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   become bob
breaker:  truncate f 0 -> ETXTBSY
holder:   P = pin fd A 0..4096 -> ok 1
holder:   B = lease fd exclusive read -> EPERM
`)
