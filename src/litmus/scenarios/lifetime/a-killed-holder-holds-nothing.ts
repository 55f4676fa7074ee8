import { play } from '../../language/index.js'

export const scenario = play(`
scenario lifetime/a-killed-holder-holds-nothing
claim SIGKILL of the only holder ends its leases at once.
rules L7
file f
process holder alice
process breaker root

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
breaker:  truncate f 0 -> ETXTBSY
breaker:  kill holder SIGKILL
breaker:  truncate f 0
lease A none
`)
