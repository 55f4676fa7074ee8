import { describe, expect, test } from 'vitest'
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from '../linux/constants.js'
import { parseMountOptions } from './mount-options.js'

describe('the list behind -o', () => {
  test('what fstab carries for others is passed over', () => {
    const list = 'defaults,noauto,_netdev,nofail,x-systemd.requires=srv.mount,comment=a b'
    expect(parseMountOptions(list)).toEqual({ attributes: 0 })
    expect(parseMountOptions('')).toEqual({ attributes: 0 })
    expect(parseMountOptions(undefined)).toEqual({ attributes: 0 })
  })

  test('restrictions become attributes of the mount; the last word counts', () => {
    expect(parseMountOptions('ro,nosuid,nodev').attributes).toBe(
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    )
    expect(parseMountOptions('ro,nosuid,rw').attributes).toBe(MOUNT_ATTR_NOSUID)
  })

  test('options of ours are those of the command line', () => {
    const list =
      'break-time=500,on-timeout=kill,max-leases=7,max-pins=8,strict,no-passthrough,without=noflush:dont-mask,cache=none,debug=/tmp/a=b'
    expect(parseMountOptions(list)).toEqual({
      attributes: 0,
      breakTime: '500',
      onTimeout: 'kill',
      maxLeases: '7',
      maxPins: '8',
      strict: true,
      passthrough: false,
      without: 'noflush:dont-mask',
      cache: 'none',
      debug: '/tmp/a=b',
    })
  })

  for (const word of ['roo', 'break_time=5', 'strict=1', 'constructor', '__proto__=1']) {
    test(`${word} is named, with what there is`, () => {
      expect(() => parseMountOptions(`ro,${word}`)).toThrow(`-o ${word}: no such mount option (ro, `)
    })
  }

  for (const word of ['break-time', 'cache', 'without']) {
    test(`${word} alone is told to need a value`, () => {
      expect(() => parseMountOptions(`ro,${word}`)).toThrow(`-o ${word}: needs a value (${word}=...)`)
    })
  }
})
