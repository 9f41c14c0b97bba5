export type { TokenSource } from '../client.js'
export { createFetchTokenHandler, type FetchRequest, type FetchTokenHandler } from './fetch-handler.js'
export { createTokenHandler, type NodeRequest, type NodeResponse, type TokenHandler } from './node-handler.js'
export type { EndUser, TokenHandlerOptions } from './token-endpoint.js'
