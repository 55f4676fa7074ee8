import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SCENARIOS } from '../scenarios/index.js'
import { formatScenario, parseScenario, ScenarioError } from './index.js'

const HEAD = `scenario topic/name
claim It does.
rules L1
file f
process holder alice
process breaker bob
`

function complaint(lines: string, head = HEAD): string {
  try {
    parseScenario(`${head}\n${lines}`)
  } catch (error) {
    if (error instanceof ScenarioError) return error.message
    throw error
  }
  return 'none'
}

test('every verb, flag and kind of line survives being written and read', () => {
  const text = `scenario all/of-it
claim One line of each kind.
rules L1 B10
question Is there one?
model-only because
break-time 100
on-timeout kill
limits leases 3 pins 4
file f 100 bytes of bob mode 640
file g
process p root
process q alice

p:  fd = open f rdwr trunc nonblock
p:  past = open f wronly past
p:  two = dup fd
p:  send fd to q as x
p:  close fd                                   -> anything
p:  m = map fd 0..4096
p:  touch m 17                                 -> killed SIGBUS
p:  unmap m
p:  A = lease fd normal read
p:  B = lease fd exclusive write wait break-time 5 4096..8192 -> waits
p:  C = lease fd normal write start            -> EAGAIN
p:  change fd A exclusive read wait break-time 7
p:  own fd A add parent SIGUSR2 3
p:  own fd A remove self
p:  c = context
p:  P = pin c A 4096..                         -> ok 1
p:  unpin c P
p:  release fd A
p:  release fd all
p:  t = truncate f 0                           -> waits
p:  ftruncate fd 1
p:  punch fd 0..4096
p:  zero fd 0..4096
p:  collapse fd 0..4096
p:  insert fd 0..4096
p:  unshare fd 0..4096
p:  write-zeroes fd 0..4096
p:  allocate fd 0..4096
p:  write fd 0 10                              -> ok 10
p:  read fd 0 10                               -> ok 10 data
p:  copy fd 0 to two 4096 10
p:  chmod f 600
p:  chown f alice
p:  rename f
p:  unlink f
p:  query fd punch 0..10                       -> ETXTBSY
p:  poll fd                                    -> ok nothing
p:  revoke A
p:  revoke A kill
p:  pins q                                     -> ok c: f g; f
p:  become bob
p:  fork child
p:  kill child SIGCONT
child:  exec
child:  exit
t still waits
t                                              -> EINTR
B                                              -> ok
told nothing
told A break by q, A revoked, p SIGIO 4
told all A granted
told only break+zombie nothing
lease A none
lease A active exclusive write notify-only pins 2 owners p q
lease A breaking with-say owners nobody
alive p
dead child
pass 300
deadline
`
  const scenario = parseScenario(text)
  expect(scenario.lines).toHaveLength(59)
  expect(parseScenario(formatScenario(scenario))).toEqual(scenario)
  // And what is written is what was read, but for blanks.
  const squeezed = (one: string) => one.replace(/ +/g, ' ').trim()
  expect(squeezed(formatScenario(scenario))).toBe(squeezed(text))
})

test('comments, blank lines and indented sentences', () => {
  const { claim, lines } = parseScenario(`# what this is
scenario topic/name
claim It goes
  on here.
rules L1 # and no other

process p root
p: fork q   # a child
`)
  expect(claim).toBe('It goes on here.')
  expect(lines).toHaveLength(1)
})

test('every complaint has the line, what is wrong, and why', () => {
  expect(complaint('holder: fd = open f')).toBe(
    "line 8: 'holder: fd = open f': a file is opened with one of rdonly, wronly, rdwr",
  )
  expect(complaint('holder: fd = open h rdonly')).toContain("there is no file 'h'")
  expect(complaint('helper: exit')).toContain("there is no process 'helper'")
  expect(complaint('holder: close fd')).toContain("nothing above is called 'fd'")
  expect(complaint('holder: open f rdonly')).toContain("needs a name: 'NAME = open ...'")
  expect(complaint('holder: unlinkk f')).toContain("no process can 'unlinkk'")
  expect(complaint('holder: unlink f -> EWHAT')).toContain("'EWHAT' is no outcome")
  expect(complaint('holder: unlink f now')).toContain("'->' has to stand where 'now' does")
  expect(complaint('holder: fork breaker')).toContain("there is a process 'breaker' already")
  expect(complaint('t -> ok')).toContain("no line above is called 't'")
  expect(complaint('told A exploded')).toContain("'exploded' is no event and no signal")
  expect(complaint('lease A none')).toContain("nothing above is called 'A'")
  expect(complaint('holder: exit\nfile g')).toContain("'file' begins no line of a play")
  expect(complaint('rules Z1')).toContain("'Z1' is no rule")
  expect(complaint('file g 10')).toContain("'bytes' is missing at its end")
})

test('to speak of what is not there is allowed where it has to fail', () => {
  expect(complaint('holder: close fd -> EBADF')).toBe('none')
  expect(complaint('holder: kill nobody SIGKILL -> ESRCH')).toBe('none')
})

test('a scenario needs a name, a claim, rules and a process', () => {
  for (const [key, name] of [
    ['scenario', 'scenario'],
    ['claim', 'claim'],
    ['rules', 'rules'],
  ]) {
    const head = HEAD.split('\n').filter((line) => !line.startsWith(`${key} `))
    expect(complaint('', head.join('\n'))).toBe(`there is no '${name}' line`)
  }
  expect(complaint('', 'scenario a/b\nclaim c\nrules L1')).toBe("there is no 'process' line")
})

test('the example of docs/LITMUS.md is the scenario it is taken from', () => {
  const page = readFileSync(new URL('../../../docs/LITMUS.md', import.meta.url), 'utf8')
  const block = page.slice(page.indexOf('\n## An example')).match(/(?:\n {4}.*|\n)+?(?=\nThe head gives)/)
  const text = block?.[0].replace(/^ {4}/gm, '') ?? ''
  const named = SCENARIOS.find(({ name }) => text.includes(`scenario ${name}\n`))
  expect(named).toBeDefined()
  expect(parseScenario(text.replace(/^## .*$/m, ''))).toEqual(named)
})
