import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/nobody-waits-for-itself
claim The only owner of a normal read lease breaks it by changing the file itself, without waiting.
rules B8
question What if the holder itself truncates?
file f
process holder alice

holder:  fd = open f rdwr
holder:  A = lease fd normal read
holder:  truncate f 0
told A broken
lease A revoked
holder:  poll fd -> ok ERR
`)
