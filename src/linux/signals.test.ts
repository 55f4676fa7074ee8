import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'

/** Runs in a process of its own: the handlers stay for good, and a test runner lives by signals. */
function program(body: string): unknown {
  const signals = JSON.stringify(new URL('../../dist/linux/signals.js', import.meta.url).href)
  const raw = JSON.stringify(new URL('../../dist/linux/raw.js', import.meta.url).href)
  const text = `
    import { spawn, spawnSync } from 'node:child_process'
    import { SignalLog } from ${signals}
    import * as raw from ${raw}
    const log = new SignalLog([10, 12])
    const tell = (value) => process.stdout.write(JSON.stringify(value))
    ${body}`
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', text],
    { encoding: 'utf8', timeout: 20_000 },
  )
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

test('signals are logged in the order they came, once, without the event loop', () => {
  const told = program(`
    raw.kill(process.pid, 12)
    raw.kill(process.pid, 10)
    raw.kill(process.pid, 12)
    tell([log.take(), log.take()])`)
  const seen = (signo: number) => ({ signo, code: 0, value: expect.any(Number) })
  expect(told).toEqual([[seen(12), seen(10), seen(12)], []])
})

test('a signal has the value and the code it was sent with', () => {
  const told = program(`
    const send = (value) => spawnSync('kill', ['-s', 'USR1', '-q', String(value), String(process.pid)])
    for (const value of [7, 0, 2147483647]) send(value)
    tell(log.take().map(({ signo, code, value }) => [signo, code, value]))`)
  expect(told).toEqual([
    [10, -1, 7],
    [10, -1, 0],
    [10, -1, 2_147_483_647],
  ])
})

test('a signal interrupts the call that the program waits in', () => {
  const told = program(`
    // Again and again, since the first may come before the wait has begun.
    const again = 'for i in $(seq 200); do kill -USR1 $1 || exit; sleep 0.05; done'
    const sender = spawn('sh', ['-c', again, 'sh', String(process.pid)], { stdio: 'ignore' })
    const poll = raw.poll(Buffer.alloc(8).fill(0xff, 0, 4), 1, 10_000)
    sender.kill('SIGKILL')
    tell({ poll, isLogged: log.take().length > 0 })`)
  expect(told).toEqual({ poll: -Errno.EINTR, isLogged: true })
})

test('the log goes round and round: 1000 signals, taken in time, are all there', () => {
  const told = program(`
    let count = 0
    for (let sent = 0; sent < 1000; sent++) {
      raw.kill(process.pid, 10)
      if (sent % 100 === 0) count += log.take().length
    }
    tell(count + log.take().length)`)
  expect(told).toBe(1000)
})
