/** @jest-config-loader esbuild-register */
import type { Config } from 'jest'

/** With it, the tests that use only entry points run on the built package. The fault matrix also reads it. */
const testsDist = process.env['VKIT_TEST_DIST'] === '1'

const config: Config = {
  testEnvironment: 'node',
  // Jest watches every folder below these, and node_modules has thousands.
  roots: ['<rootDir>/lib', '<rootDir>/__tests__'],
  // By default Jest leaves one core idle, which is half of a small machine.
  maxWorkers: '100%',
  // Modules of a test file stay in memory: the simulations took six times as long in a worker with a heap of 1.2 GB.
  workerIdleMemoryLimit: '300MB',
  // It only ends a test that hangs: on a busy machine, the 5,000 users of one test took longer than Jest's 5 s.
  testTimeout: 30_000,
  reporters: ['default', '<rootDir>/__tests__/support/skip-reporter.mjs'],
  // `npm run test:coverage` prints it. Nothing depends on its numbers: see test:mutants.
  collectCoverageFrom: ['lib/**/*.ts'],
  coverageProvider: 'v8',
  coverageReporters: ['text'],
  // A glob would match no file if the path of the checkout contains brackets.
  testRegex: '/__tests__/.+\\.test\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    ...(testsDist && { '^(?:\\.\\./){2,}lib/((?:handlers/|testing/)?index)\\.js$': '<rootDir>/dist/esm/$1.js' }),
    // The examples import the package by its name.
    ...(!testsDist && { '^@video-io/videokit-nodejs/handlers$': '<rootDir>/lib/handlers/index.ts' }),
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^fast-check$': '<rootDir>/__tests__/support/fast-check.ts',
  },
  transform: { '^.+\\.ts$': ['ts-jest', { useESM: true, tsconfig: '<rootDir>/tsconfig.json' }] },
}

export default config
