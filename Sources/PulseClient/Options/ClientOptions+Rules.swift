// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow

// What options are to the parts of a client.

extension ClientOptions {
  /// Messages are looked at.
  var hasPatterns: Bool {
    !heartbeatReply.isEmpty || !heartbeatRequest.isEmpty || !serverHeartbeat.isEmpty || !loginConfirm.isEmpty
      || !loginReject.isEmpty || !subscribeConfirm.isEmpty || !subscribeReject.isEmpty || !rotateOn.isEmpty
  }
}

extension Dialer.Rules {
  convenience init(_ options: ClientOptions, endpoints count: Int) {
    self.init()
    endpoints = count
    reconnects = options.reconnect
    holds = options.holdConnect
    mostAttempts = options.maxReconnectAttempts
    baseDelay = options.reconnectBaseDelay
    mostDelay = options.reconnectMaxDelay
    jitterPermille = options.jitterPermille
    stableTime = options.stableTime
    restartDelay = options.restartDelay
    breakerFailures = options.breakerFailures
    breakerTime = options.breakerTimeout
    replaces = options.maxAge > 0 || !options.rotateOn.isEmpty
  }
}

extension Handover.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    maxAge = options.maxAge
    overlap = options.rotationOverlap
    openTimeout = options.openTimeout
    stableTime = options.stableTime
    baseDelay = options.reconnectBaseDelay
    mostDelay = options.reconnectMaxDelay
    jitterPermille = options.jitterPermille
    holds = options.holdConnect
    distinguishesCopies = !options.sequencePath.isEmpty && options.sequenceScope != .connection
  }
}

extension Inbound.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    policy = options.receiveQueuePolicy
    limit = options.receiveQueueBytes
    emitsEvents = options.emitsEvents
    resumes = options.resume
    staleKeyTimeout = options.staleKeyTimeout
    keyPath = options.keyPath
    sequencePath = options.sequencePath
    sequencePrevious = options.sequencePrevious
    sequenceKey = options.sequenceKey
    isIncreasing = options.sequenceRule == .increasing
    countsConnection = options.sequenceScope == .connection
    rotationOverlap = options.rotationOverlap
    hasTwin = options.twin != nil
    twinWait = options.twinWait
  }
}

extension Outbound.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    limits = Outbox.Limits(count: options.messageQueueSize, bytes: options.messageQueueBytes)
    policy = options.messageQueuePolicy
    backlogInterval = options.backlogInterval
    rateLimits = options.rateLimits
    countsControl = options.rateLimitControl
    emitsEvents = options.emitsEvents
  }
}

extension Liveness.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    timeout = options.staleTimeout
    reconnects = options.staleAction == .reconnect
  }
}

extension Session.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    login = options.login
    loginConfirm = options.loginConfirm
    loginReject = options.loginReject
    loginTimeout = options.loginTimeout
    subscribeMessage = options.subscribeMessage
    unsubscribeMessage = options.unsubscribeMessage
    subscribeConfirm = options.subscribeConfirm
    subscribeReject = options.subscribeReject
    subscribeTimeout = options.subscribeTimeout
    subscribeInterval = options.subscribeInterval
    subscribeBatch = options.subscribeBatch
    rejectionLeaves = options.subscribeRejectAction == .reconnect
    heartbeatReply = options.heartbeatReply
    serverHeartbeat = options.serverHeartbeat
    heartbeatRequest = options.heartbeatRequest
    rotateOn = options.rotateOn
  }
}
