// Jest loads this for 'fast-check' (jest.config.ts), so that every property has the seed of the run.
import fc from '../../node_modules/fast-check/lib/fast-check.js'
import { SEED } from './random.js'

fc.configureGlobal({ seed: SEED })

export default fc
