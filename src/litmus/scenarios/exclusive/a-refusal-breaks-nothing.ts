import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/a-refusal-breaks-nothing
claim A change that an exclusive lease refuses leaves normal leases on the same bytes alone.
rules X2 X3
file f
process polite alice
process strict bob
process breaker bob

polite:   a = open f rdonly
polite:   A = lease a normal read
strict:   b = open f rdwr
strict:   B = lease b exclusive read 4096..
breaker:  truncate f 0 -> ETXTBSY
told B refused by breaker
lease A active
polite:   poll a -> ok nothing
`)
