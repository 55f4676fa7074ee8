import { play } from '../../language/index.js'

export const scenario = play(`
scenario reports/a-query-foretells
claim QUERY says what a change would meet, and changes nothing by asking.
rules R4
file f
process holder alice
process asker bob

holder:  fd = open f rdwr
holder:  A = lease fd normal read 0..4096
asker:   g = open f rdwr
asker:   query g truncate 4096..
asker:   query g truncate -> EAGAIN
asker:   query g punch 0..4096 -> EAGAIN
holder:  query fd truncate
holder:  change fd A exclusive read
asker:   query g zero 100..200 -> ETXTBSY
holder:  query fd truncate -> EDEADLK
told nothing
lease A active
# Growing takes nothing away, whoever holds the file.
holder:  B = lease fd exclusive read
holder:  query fd truncate 8192..
asker:   query g truncate 8191.. -> ETXTBSY
asker:   query g truncate 9000..
asker:   ftruncate g 9000
asker:   query g truncate 8192.. -> ETXTBSY
`)
