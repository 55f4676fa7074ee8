import { describe, expect, test } from 'vitest'
import { NextLook } from './next-look.js'

/** Carries out so many requests that a program waits for. @returns how often it looked for another one. */
function serve(nextLook: NextLook, count: number, isThere: (index: number) => boolean): number {
  let lookCount = 0
  for (let index = 0; index < count; index++) {
    if (!nextLook.isWorthwhile(true)) continue
    lookCount++
    if (!isThere(index)) nextLook.wasInVain()
  }
  return lookCount
}

describe('NextLook', () => {
  test('one program at a time: hardly ever worth a system call', () => {
    expect(serve(new NextLook(), 6400, () => false)).toBe(100)
  })

  test('many programs: always', () => {
    const nextLook = new NextLook()
    serve(nextLook, 64, () => true)
    expect(serve(nextLook, 1000, () => true)).toBe(1000)
    expect(serve(nextLook, 1000, (index) => index % 8 !== 0)).toBe(1000)
  })

  test('when they have gone it gives up soon', () => {
    const nextLook = new NextLook()
    serve(nextLook, 200, () => true)
    expect(serve(nextLook, 1000, () => false)).toBeLessThan(30)
  })

  test('behind a request that nobody waits for the next one stands: always, and that is no sign of many programs', () => {
    const nextLook = new NextLook()
    for (let index = 0; index < 100; index++) expect(nextLook.isWorthwhile(false)).toBe(true)
    nextLook.wasInVain()
    expect(serve(nextLook, 63, () => true)).toBe(0)
  })
})
