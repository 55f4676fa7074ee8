import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { FORKABLE } from './fork.js'

/** Runs in a process of its own, which has one thread as a program that forks must. */
function program(body: string) {
  const url = (name: string) => JSON.stringify(new URL(`../../dist/linux/${name}.js`, import.meta.url).href)
  const text = `
    import { writeSync } from 'node:fs'
    import { execProgram, forkProcess } from ${url('fork')}
    import { close, pipe } from ${url('files')}
    import * as raw from ${url('raw')}
    const tell = (value) => writeSync(1, JSON.stringify(value))
    const statusOf = (pid) => {
      const status = Buffer.alloc(4)
      raw.waitpid(pid, status, 0)
      return status.readInt32LE(0)
    }
    ${body}`
  const args = [...FORKABLE, '--input-type=module', '--eval', text]
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 })
}

function tells(body: string): unknown {
  const { stdout, stderr, status, signal } = program(body)
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

test('a forked Node goes on: its heap, its garbage collector and its compiler work as in the parent', () => {
  const told = tells(`
    const before = Array.from({ length: 10_000 }, (_, index) => ({ index }))
    const { readEnd, writeEnd } = pipe()
    const pid = forkProcess()
    if (pid === 0) {
      let sum = 0
      for (let round = 0; round < 200; round++) {
        const made = Array.from({ length: 10_000 }, (_, index) => ({ index, text: 'x' + index }))
        sum += made.length + before[round].index
      }
      const text = Buffer.from(String(sum))
      raw.write(writeEnd, text, text.length)
      raw.exit(7)
    }
    const text = Buffer.alloc(20)
    const length = raw.read(readEnd, text, 20)
    tell({ sum: Number(text.subarray(0, length)), status: statusOf(pid) >> 8 })`)
  expect(told).toEqual({ sum: 200 * 10_000 + (199 * 200) / 2, status: 7 })
})

test('what the child changes is its own, and a grandchild works like a child', () => {
  const told = tells(`
    let value = 'parent'
    const pid = forkProcess()
    if (pid === 0) {
      value = 'child'
      const grandchild = forkProcess()
      raw.exit(grandchild === 0 ? 5 : (statusOf(grandchild) >> 8) + 1)
    }
    tell({ value, status: statusOf(pid) >> 8 })`)
  expect(told).toEqual({ value: 'parent', status: 6 })
})

test('a child becomes another program, with the arguments and the environment it is given', () => {
  const told = tells(`
    const { readEnd, writeEnd } = pipe()
    const pid = forkProcess()
    if (pid === 0) {
      raw.fcntl(writeEnd, 2, 0)
      execProgram('/bin/sh', ['sh', '-c', 'printf "%s %s" "$0" "$WORD" >/dev/fd/' + writeEnd, 'zero'], ['WORD=one two'])
    }
    close(writeEnd)
    const status = statusOf(pid)
    const text = Buffer.alloc(20)
    tell({ status, text: text.toString('utf8', 0, raw.read(readEnd, text, 20)) })`)
  expect(told).toEqual({ status: 0, text: 'zero one two' })
})

test('execProgram of what is not there throws the errno', () => {
  const told = tells(`
    try { execProgram('/nowhere/at/all', ['x'], []) } catch (error) { tell({ errno: error.errno }) }`)
  expect(told).toEqual({ errno: 2 })
})
