export { VKitClient, type ClientStats } from './client.js'
export type { CircuitState } from './circuit.js'
export type { Clock } from './clock.js'
export {
  VKitArgumentError,
  VKitAuthenticationError,
  VKitClosedError,
  VKitConfigError,
  VKitConnectionError,
  VKitError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
  type SanitizedCause,
  type VKitErrorCode,
  type VKitErrorDetails,
  type VKitErrorJSON,
} from './errors.js'
export type { StoreFailureReason, VKitEvent, VKitEventListener, VKitEventType } from './events.js'
export type {
  CacheOptions,
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  OutageMode,
  SecretProvider,
  SessionTokenResult,
  VKitClientOptions,
} from './client-options.js'
export type { SessionToken } from './session-token.js'
export type { TokenStore } from './shared-store.js'
export type { CacheMode, Scope } from './token-request.js'
