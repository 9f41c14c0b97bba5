import { ways } from '../competitors/bulk.mjs'

export async function setUp(name, context) {
  return params => ways[name]({ ...context, ...params })
}
