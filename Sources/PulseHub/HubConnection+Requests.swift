// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseServe
import PulseText
import PulseTransport
import PulseWire

/// HTTP beside WebSocket: requests in, answers out.
extension HubConnection {
  /// So many bytes of answers may wait before the next request is looked at.
  private static let mostOutput = 256 << 10

  func receiveRequests(_ bytes: UnsafeRawBufferPointer) {
    guard let conversation else { return }
    if conversation.isAnswering || conversation.awaitsRoom {
      // Only what a client sends ahead of the answer; it is bounded by not reading any more.
      conversation.unread.append(contentsOf: bytes)
      readingIsPaused = true
      return
    }
    if conversation.parser.isIdle, bytes.count > 0, !conversation.isLast { schedule(.head, after: hub.options.headerTimeout) }
    var offset = 0
    while phase == .requests, !conversation.isLast {
      switch conversation.parser.receive(bytes, from: &offset) {
      case .needMoreBytes:
        awaitRest(conversation)
        return
      case .failed(let refusal):
        return refuse(refusal, to: conversation.parser.pending)
      case .request(let request):
        owner.statistics.requests &+= 1
        conversation.current = request
        conversation.isInBody = false
        let rest = UnsafeRawBufferPointer(rebasing: bytes[min(offset, bytes.count)...])
        if !hub.trusted.isEmpty, let refusal = identifyClient(request) { return refuse(refusal, to: request) }
        if request.isUpgrade { return upgrade(request, rest) }
        serve(request)
        if conversation.isAnswering {
          conversation.unread.append(contentsOf: rest)
          if !conversation.unread.isEmpty { readingIsPaused = true }
          return
        }
        if output.count > HubConnection.mostOutput, !conversation.isLast {
          conversation.unread.append(contentsOf: rest)
          conversation.awaitsRoom = true
          readingIsPaused = true
          return
        }
      }
    }
  }

  /// The body of a request has a time of its own; between requests the connection may idle.
  private func awaitRest(_ conversation: Conversation) {
    if conversation.parser.wantsContinue {
      append(Response.goOn)
      conversation.parser.continued()
    }
    if conversation.parser.pending != nil {
      if conversation.isInBody { return }
      conversation.isInBody = true
      schedule(.head, after: hub.options.requestTimeout)
    } else if conversation.parser.isIdle {
      schedule(.idle, after: hub.options.keepAliveTimeout)
    }
  }

  private func append(_ text: Literal) { output.append(UnsafeRawBufferPointer(text.bytes)) }

  // MARK: Which answer

  private func serve(_ request: Request) {
    if let answer = hub.cors.preflight(request, methods: hub.routes.methods(of: request.path)) {
      switch answer {
      case .success(let response): return self.answer(response, to: request, hub.serverHeaders)
      case .failure(let refusal): return refuse(refusal, to: request)
      }
    }
    switch hub.routes.match(request) {
    case .failure(let refusal): refuse(refusal, to: request)
    case .success(let (route, rest)):
      switch route.kind {
      case .application: ask(request, route)
      case .files(let folder): sendFile(request, folder, rest: rest)
      default: answerItself(request, route.kind)
      }
    }
  }

  private func answerItself(_ request: Request, _ kind: HubRoute.Kind) {
    if case .publish = kind { return publishRequest(request) }
    if case .health = kind { return answer(hub.healthAnswer(), to: request) }
    if !hub.mayReadStatus(request) {
      noteWrongToken(request)
      return refuse(.unauthenticated("status and metrics need a bearer token"), to: request)
    }
    self.request = owner.nextRequest(of: self)
    conversation?.isAnswering = true
    schedule(.answer, after: hub.options.requestTimeout)
    owner.ask(self.request, kind)
  }

  private func publishRequest(_ request: Request) {
    switch hub.publish(request) {
    case .failure(let refusal):
      if refusal.status == 401 { noteWrongToken(request) }
      refuse(refusal, to: request)
    case .success(let offset): answer(.json(("{\"offset\":\(offset)}" as Sentence).bytes), to: request)
    }
  }

  private func noteWrongToken(_ request: Request) {
    if request.bearer == nil { return }
    owner.noteFailure(self)
    conversation?.isLast = true
  }

  /// The application answers, later.
  private func ask(_ request: Request, _ route: HubRoute) {
    guard hub.options.events.contains(.httpRequest) else {
      return refuse(.unavailable("nobody answers requests to this path", retryAfter: 5), to: request)
    }
    if hub.events.isFull { return refuse(.unavailable("the application is behind with its events", retryAfter: 1), to: request) }
    self.request = owner.nextRequest(of: self)
    let event = HubEvent(.httpRequest)
    event.request = self.request
    event.address = HubEvent.text(address.bytes)
    event.route = HubEvent.text(route.path)
    event.method = HubEvent.text(request.methodName)
    event.target = HubEvent.text(request.target)
    event.headers = headerLines(request, all: true)
    event.data = request.body
    hub.events.append(event)
    conversation?.isAnswering = true
    schedule(.answer, after: hub.options.requestTimeout)
  }

  /// "Name: value" in lines; without what is secret unless `all`.
  func headerLines(_ request: Request, all: Bool) -> [UInt8] {
    var lines: [UInt8] = []
    for field in request.head.fields {
      let name = request.head.bytes[field.name]
      let isSecret =
        HTTPText.sameIgnoringCase(name, "authorization") || HTTPText.sameIgnoringCase(name, "cookie")
        || HTTPText.sameIgnoringCase(name, "sec-websocket-protocol")
      if isSecret && !all { continue }
      lines.append(contentsOf: name)
      lines.append(contentsOf: [0x3A, 0x20])
      lines.append(contentsOf: request.head.bytes[field.value])
      lines.add(0x0A)
    }
    return HubEvent.text(lines)
  }

  /// What the application said to the request of that number.
  func answered(_ number: UInt64, _ response: Response) {
    guard number == request, phase == .requests, let conversation, conversation.isAnswering, let current = conversation.current
    else { return }
    request = 0
    conversation.isAnswering = false
    owner.setDue(self)
    if let upgrade = conversation.upgrade { return upgradeAnswered(upgrade, response) }
    answer(response, to: current)
    goOn(conversation)
  }

  func answerIsLate() {
    // Half an answer can't be taken back.
    guard let conversation, conversation.file == nil, let current = conversation.current else { return end(.lost) }
    request = 0
    conversation.isAnswering = false
    conversation.upgrade = nil
    refuse(Refusal(504, "no_answer", "the application gave no answer in time"), to: current)
    goOn(conversation)
  }

  /// An answer that took its time is given: the requests behind it.
  func goOn(_ conversation: Conversation) {
    guard phase == .requests, !conversation.isAnswering, !conversation.isLast else { return }
    let rest = conversation.unread
    conversation.unread = []
    rest.withUnsafeBytes { receiveRequests($0) }
    if phase == .requests, !conversation.isAnswering, !conversation.awaitsRoom, !conversation.isLast {
      awaitRest(conversation)
      resumeReading()
    }
  }

  // MARK: Answers

  func staysOpen(behind request: Request?) -> Bool {
    request?.keepsAlive == true && hub.options.keepAliveTimeout > 0 && !hub.isDraining && conversation?.isLast != true
  }

  /// `more`: headers besides those of the response, else what all answers have.
  func answer(_ response: Response, to request: Request, _ more: [HTTPHeader]? = nil) {
    response.headers.add(more ?? hub.commonHeaders(request))
    let keepsAlive = staysOpen(behind: request)
    switch response.encode(to: request, date: Clock.realtime() / 1_000_000_000, keepsAlive: keepsAlive) {
    case .success(let bytes): bytes.withUnsafeBytes { output.append($0) }
    case .failure(let problem):
      owner.logProblem("an answer of the application can't be sent: \(problem.text)")
      return refuse(Refusal(500, "bad_answer", "the application's answer can't be sent"), to: request)
    }
    finishAnswer(keepsAlive)
  }

  func refuse(_ refusal: Refusal, to request: Request?) {
    owner.statistics.requestsRefused &+= 1
    let keepsAlive = staysOpen(behind: request) && !refusal.closes
    let identity = owner.requestID()
    owner.logRefusal(self, refusal, identity)
    let headers = request.map { hub.commonHeaders($0) } ?? hub.serverHeaders
    let bytes = refusal.encode(
      to: request, requestID: identity, date: Clock.realtime() / 1_000_000_000, keepsAlive: keepsAlive, headers: headers)
    bytes.withUnsafeBytes { output.append($0) }
    finishAnswer(keepsAlive)
  }

  /// A long answer to a slow client takes its time as long as some of it goes out.
  func answerMoves(_ conversation: Conversation) {
    if conversation.isLast {
      schedule(.close, after: hub.options.closeTimeout)
    } else if conversation.parser.isIdle {
      schedule(.idle, after: hub.options.keepAliveTimeout)
    }
  }

  func finishAnswer(_ keepsAlive: Bool) {
    conversation?.current = nil
    if keepsAlive { return schedule(.idle, after: hub.options.keepAliveTimeout) }
    conversation?.isLast = true
    readingIsPaused = true
    schedule(.close, after: hub.options.closeTimeout)
  }
}
