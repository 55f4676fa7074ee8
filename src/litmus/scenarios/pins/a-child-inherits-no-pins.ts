import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-child-inherits-no-pins
claim A child has its parent's descriptors and contexts, but not the parent's own pins, and owns no lease.
rules P2 L5 P1
file f
process parent alice
process breaker bob

parent:   fd = open f rdonly
parent:   A = lease fd exclusive read
parent:   P = pin fd A
parent:   fork child
child:    unpin fd P -> ENOENT
child:    Q = pin fd A -> EPERM
parent:   exit
lease A active pins 0 owners nobody
breaker:  truncate f 0 -> ETXTBSY
child:    close fd
breaker:  truncate f 0
`)
