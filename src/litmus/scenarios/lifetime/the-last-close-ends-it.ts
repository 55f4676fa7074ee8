import { play } from '../../language/index.js'

export const scenario = play(`
scenario lifetime/the-last-close-ends-it
claim A lease ends when the last copy of its descriptor is closed, and not before.
rules L7
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   copy1 = dup fd
holder:   fork child
holder:   close fd
holder:   close copy1
breaker:  truncate f 0 -> ETXTBSY
child:    close fd
breaker:  truncate f 0 -> ETXTBSY
child:    close copy1
lease A none
breaker:  truncate f 0
`)
