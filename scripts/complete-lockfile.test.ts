import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { missingEntries } from './complete-lockfile.js'

test('package-lock.json lists the packages of every platform, so that npm ci accepts it', () => {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
  expect(missingEntries(lock.packages)).toEqual({})
})

test('what is missing is added with the platform that its name says', () => {
  const optionalDependencies = { '@x/cli-linux-x64-musl': '1.2.3', '@x/cli-darwin-arm64': '1.2.3' }
  expect(missingEntries({ 'node_modules/x': { dev: true, optionalDependencies } })).toEqual({
    'node_modules/@x/cli-linux-x64-musl': {
      version: '1.2.3',
      os: ['linux'],
      cpu: ['x64'],
      libc: ['musl'],
      dev: true,
      optional: true,
    },
    'node_modules/@x/cli-darwin-arm64': {
      version: '1.2.3',
      os: ['darwin'],
      cpu: ['arm64'],
      dev: true,
      optional: true,
    },
  })
})

test('a dependency whose name says nothing about a platform is not guessed at', () => {
  const packages = { 'node_modules/x': { optionalDependencies: { fsevents: '~2.3.3' } } }
  expect(() => missingEntries(packages)).toThrow('fsevents')
})

test('a package beside which another version stands goes into the node_modules of its owner', () => {
  const packages = {
    'node_modules/b-linux-x64': { version: '1.0.0' },
    'node_modules/a/node_modules/b': { optionalDependencies: { 'b-linux-x64': '2.0.0' } },
  }
  expect(Object.keys(missingEntries(packages))).toEqual([
    'node_modules/a/node_modules/b/node_modules/b-linux-x64',
  ])
})
