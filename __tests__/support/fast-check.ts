// Jest loads this file as 'fast-check' (jest.config.ts), so that every property uses the seed of the run.
import fc from '../../node_modules/fast-check/lib/fast-check.js'
import { SEED } from './random.js'

fc.configureGlobal({ seed: SEED })

export default fc
