import { play } from '../../language/index.js'

export const scenario = play(`
scenario opt-in/without-a-lease-nothing-changes
claim Where nobody took a lease, a file that is open and mapped elsewhere is truncated at once.
rules L1
file f
process reader alice
process breaker bob

reader:   fd = open f rdonly
reader:   m = map fd
breaker:  truncate f 0
told all nothing
reader:   touch m 0 -> killed SIGBUS
`)
