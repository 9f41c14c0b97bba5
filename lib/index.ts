export { VKitClient, type ClientStats, type TokenSource, type VKitCallTrace } from './client.js'
export type { CircuitState } from './gateway/circuit-breaker.js'
export type { Fetch, FetchInit, FetchResponse } from './gateway/transport.js'
export type { VKitMintTrace } from './gateway/token-minter.js'
export type { Clock } from './core/clock.js'
export {
  VKitArgumentError,
  VKitAuthenticationError,
  VKitClosedError,
  VKitConfigError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
} from './core/errors.js'
export {
  VKitError,
  type RefusedBy,
  type VKitErrorCode,
  type VKitErrorDetails,
  type VKitErrorJSON,
} from './core/vkit-error.js'
export type { VKitTraceOutcome } from './core/tracing.js'
export type { SanitizedCause } from './core/sanitize-cause.js'
export type { StoreFailureReason, StoreOperation, VKitEvent, VKitEventListener, VKitEventType } from './core/events.js'
export type {
  CacheOptions,
  CloseOptions,
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  OutageMode,
  SessionTokenResult,
  VKitClientOptions,
  WarmUpOptions,
} from './options/types.js'
export type { SecretProvider } from './secret/app-secret.js'
export type { SessionToken } from './token/session-token.js'
export type { StoreListener, StoreSubscription, TokenStore } from './store/token-store.js'
export type { CacheMode, Scope } from './token/token-request.js'
