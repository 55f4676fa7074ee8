import { readdirSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { testDirectory } from '../linux/test-directory.js'
import { events, openPinContext, takeLease } from './index.js'
import { openSource, toRange } from './request.js'

const directory = testDirectory()
const plain = path.join(directory, 'plain')
writeFileSync(plain, 'x')

const descriptors = () => readdirSync('/proc/self/fd').length

describe('toRange', () => {
  test('nothing given is the whole file; without a length it goes to the end', () => {
    expect(toRange({})).toEqual({ start: 0, end: Infinity })
    expect(toRange({ start: 5 })).toEqual({ start: 5, end: Infinity })
    expect(toRange({ start: 5, length: 0 })).toEqual({ start: 5, end: Infinity })
    expect(toRange({ start: 5, length: 3 })).toEqual({ start: 5, end: 8 })
  })

  for (const range of [
    { start: -1 },
    { length: -1 },
    { start: 0.5 },
    { length: Number.NaN },
    { length: Infinity },
    { start: 2 ** 53 },
    { start: Number.MAX_SAFE_INTEGER, length: 1 },
  ]) {
    test(`${JSON.stringify(range)} is EINVAL`, () => {
      expect(() => toRange(range)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    })
  }
})

describe('openSource', () => {
  test("a path is opened and closed; a FileHandle stays its owner's to close", async () => {
    const before = descriptors()
    const source = openSource(plain)
    expect(descriptors()).toBe(before + 1)
    source.close()
    expect(descriptors()).toBe(before)
    const handle = await open(plain)
    openSource(handle).close()
    expect((await handle.stat()).size).toBe(1)
    await handle.close()
  })

  test('a path of bytes that are not UTF-8 is opened by its bytes and shown readably', () => {
    const bytes = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff])])
    writeFileSync(bytes, '')
    const source = openSource(bytes)
    expect(source.name).toBe(`${directory}/\\xff`)
    source.close()
  })

  test('what cannot be opened is a HoldfastError with the path', () => {
    expect(() => openSource(path.join(directory, 'missing'))).toThrow(
      expect.objectContaining({
        name: 'HoldfastError',
        code: 'ENOENT',
        path: path.join(directory, 'missing'),
      }),
    )
  })
})

describe('on a file that is not under Holdfast', () => {
  const notOurs = expect.objectContaining({ name: 'HoldfastError', code: 'ENOTTY', path: plain })

  test('every entrance says ENOTTY, and leaves no descriptor open', async () => {
    const before = descriptors()
    await expect(takeLease(plain)).rejects.toThrow(notOurs)
    await expect(takeLease(plain, { level: 'exclusive', wait: true })).rejects.toThrow(notOurs)
    await expect(openPinContext(plain)).rejects.toThrow(notOurs)
    await expect(events(plain).next()).rejects.toThrow(notOurs)
    expect(descriptors()).toBe(before)
  })

  test('a signal that was given already ends it before anything is opened', async () => {
    const reason = new Error('not any more')
    await expect(takeLease(plain, { signal: AbortSignal.abort(reason) })).rejects.toThrow(reason)
  })

  test('a range that is none fails before anything is asked', async () => {
    const before = descriptors()
    await expect(takeLease(plain, { start: -1 })).rejects.toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(descriptors()).toBe(before)
  })
})
