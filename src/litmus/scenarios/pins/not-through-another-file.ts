import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/not-through-another-file
claim A pin is asked for through the file that the lease is on; through another one the lease is unknown.
rules P1
file f
file g
process holder alice

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  h = open g rdonly
holder:  P = pin h A -> ENOENT
holder:  P = pin fd nothing -> ENOENT
`)
