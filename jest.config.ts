/** @jest-config-loader esbuild-register */
import type { Config } from 'jest'

const config: Config = {
  testEnvironment: 'node',
  // By default Jest leaves a core idle, half of a small machine.
  maxWorkers: '100%',
  reporters: ['default', '<rootDir>/__tests__/support/skip-reporter.mjs'],
  // A glob would find nothing in a folder with brackets in its name.
  testRegex: '/__tests__/.+\\.test\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^fast-check$': '<rootDir>/__tests__/support/fast-check.ts',
  },
  transform: { '^.+\\.ts$': ['ts-jest', { useESM: true, tsconfig: '<rootDir>/tsconfig.json' }] },
}

export default config
