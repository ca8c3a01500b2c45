// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// From a request to a peer.
extension HubConnection {
  func upgrade(_ request: Request, _ rest: UnsafeRawBufferPointer) {
    let offer: UpgradeOffer
    switch UpgradeOffer.read(request) {
    case .failure(let refusal): return refuseUpgrade(refusal, request, nil)
    case .success(let read): offer = read
    }
    // Of pages of other sites nothing is explained, and nobody can switch it off.
    if let origin = request.origin, !hub.cors.allows(origin) {
      owner.statistics.upgradesRefused &+= 1
      return refuse(.originForbidden(origin), to: request)
    }
    switch hub.routes.match(request) {
    case .failure(let refusal): refuseUpgrade(refusal, request, offer)
    case .success(let (route, _)):
      if owner.isDraining { return refuseUpgrade(.unavailable("the hub is being restarted", retryAfter: 5), request, offer) }
      authenticate(request, route, offer, rest)
    }
  }

  private func authenticate(_ request: Request, _ route: HubRoute, _ offer: UpgradeOffer, _ rest: UnsafeRawBufferPointer) {
    let upgrade = PendingUpgrade(request, route, offer, rest: Array(rest))
    switch identify(request, offer) {
    case .failure(let refusal): return refuseUpgrade(refusal, request, offer)
    case .success(let identity): upgrade.identity = identity
    }
    if hub.options.events.contains(.authorize) {
      if hub.events.isFull {
        return refuseUpgrade(.unavailable("the application is behind with its events", retryAfter: 1), request, offer)
      }
      return askWhether(upgrade)
    }
    open(upgrade)
  }

  /// The application decides.
  private func askWhether(_ upgrade: PendingUpgrade) {
    self.request = owner.nextRequest(of: self)
    let event = HubEvent(.authorize, peer: number)
    event.request = self.request
    event.address = HubEvent.text(address.bytes)
    event.route = HubEvent.text(upgrade.route.path)
    event.target = HubEvent.text(upgrade.request.target)
    event.headers = headerLines(upgrade.request, all: true)
    if let token = token(upgrade.request, upgrade.offer) { event.text = HubEvent.text(token) }
    hub.events.append(event)
    conversation?.upgrade = upgrade
    conversation?.isAnswering = true
    readingIsPaused = true
    schedule(.answer, after: hub.options.requestTimeout)
  }

  /// What the application said: 101, or a refusal with a sentence.
  func upgradeAnswered(_ upgrade: PendingUpgrade, _ response: Response) {
    conversation?.upgrade = nil
    if response.status == 101 {
      if owner.isDraining {
        return refuseUpgrade(.unavailable("the hub is being restarted", retryAfter: 5), upgrade.request, upgrade.offer)
      }
      open(upgrade)
      return phase == .open ? resumeReading() : ()
    }
    let isAbout = response.status == 401
    refuseUpgrade(
      Refusal(
        response.status >= 400 && response.status <= 599 ? response.status : 403,
        isAbout ? "unauthenticated" : "forbidden",
        response.body.isEmpty ? "the application refuses the connection" : Sentence(response.body.prefix(256)),
        closeCode: isAbout ? CloseCode.unauthenticated : CloseCode.forbidden), upgrade.request, upgrade.offer)
  }

  private func open(_ upgrade: PendingUpgrade) {
    let (request, route, offer) = (upgrade.request, upgrade.route, upgrade.offer)
    switch UpgradeVerdict.decide(offer, route.terms) {
    case .refused(let refusal): refuseUpgrade(refusal, request, offer)
    case .accepted(let answer):
      var userKey: AddressKey?
      if !countUser(upgrade.identity, &userKey) {
        return refuseUpgrade(.tooMany("this user has too many connections", retryAfter: 5), request, offer)
      }
      let isPulse = answer.subprotocol == 0 && route.options.wireProtocol != .plain
      become(route, answer, isPulse: isPulse)
      guard let peer else { return }
      peer.userKey = userKey
      tellConnected(request, route, answer)
      if let identity = upgrade.identity { identify(peer, as: identity) }
      greet(peer)
      let topics = firstTopics(request, route)
      if !topics.isEmpty { peer.makeTransient().firstTopics = topics }
      awaitToken(peer)
      // Frames that came with the request.
      var rest = upgrade.rest
      rest.withUnsafeMutableBytes {
        var offset = 0
        if $0.count > 0 { receiveFrames($0, from: &offset) }
      }
    }
  }

  private func awaitToken(_ peer: HubPeer) {
    if peer.identity != nil || hub.options.auth != .required {
      scheduleHeartbeat(peer)
      subscribeAtOpening(peer)
    } else {
      peer.awaitsToken = true
      schedule(.auth, after: hub.options.authTimeout)
    }
  }

  private func become(_ route: HubRoute, _ answer: UpgradeAnswer, isPulse: Bool) {
    answer.bytes.withUnsafeBytes { output.append($0) }
    let limit = route.options.maxMessageSize > 0 ? route.options.maxMessageSize : hub.options.maxMessageSize
    let wire = WireConnection(
      configuration: WireConfiguration(
        role: .server, maxMessageSize: limit, deflate: answer.deflate, compressionThreshold: .max,
        compressionLevel: Int32(truncatingIfNeeded: hub.options.compressionLevel)))
    let queue = PeerQueue(owner.rules, compresses: answer.deflate != nil)
    queue.tag = UInt(number & 0x3FF_FFFF)
    peer = HubPeer(wire, queue: queue, route: route, isPulse: isPulse, hub, now: owner.host.loop.turnTime)
    phase = .open
    conversation = nil
    owner.statistics.upgrades &+= 1
    owner.statistics.httpConnections &-= 1
    owner.statistics.activeConnections &+= 1
    // Not all peers of a restart are pinged in the same moment.
    let wait = hub.options.heartbeat
    if wait > 0 {
      peer?.pingAt = owner.host.loop.turnTime &+ wait / 2 &+ Int64(owner.random.next32()) % (wait / 2 &+ 1)
    }
  }

  private func greet(_ peer: HubPeer) {
    if !peer.route.options.welcome { return }
    peer.reply(
      HubMessage.welcome(
        client: clientName, hub: hub.options.name, heartbeat: hub.options.heartbeat,
        resumeWindow: hub.options.resumeWindow, time: Clock.realtime()))
  }

  /// "c-1f": the number in hex.
  private var clientName: [UInt8] {
    let digits: Literal = "0123456789abcdef"
    var name: Sentence = "c-"
    var shift = (63 &- UInt64(number.leadingZeroBitCount)) & 60
    while true {
      name.bytes.add(digits.start[Int(number &>> shift & 15)])
      if shift == 0 { return name.bytes }
      shift &-= 4
    }
  }

  private func tellConnected(_ request: Request, _ route: HubRoute, _ answer: UpgradeAnswer) {
    guard hub.options.events.contains(.connected) else { return }
    let event = HubEvent(.connected, peer: number)
    event.address = HubEvent.text(address.bytes)
    event.route = HubEvent.text(route.path)
    event.target = HubEvent.text(request.path)
    event.headers = headerLines(request, all: false)
    if let place = answer.subprotocol { event.text = HubEvent.text(route.terms.subprotocols[place].bytes) }
    hub.events.append(event)
  }

  /// Topics of the route, and those that the URL names: `?topics=a,b`.
  private func firstTopics(_ request: Request, _ route: HubRoute) -> [[UInt8]] {
    var names = route.options.topics
    guard route.options.urlTopics else { return names }
    for list in request.query.values(of: "topics") {
      for name in Pieces(list[...], separator: UInt8(ascii: ",")) where !name.isEmpty && names.count < PeerMessage.maxTopics {
        names.append(Array(name))
      }
    }
    return names
  }

  /// Once it is known who the peer is.
  func subscribeAtOpening(_ peer: HubPeer) {
    guard let rest = peer.transient else { return }
    let names = rest.firstTopics
    rest.firstTopics = []
    if rest.heldBytes.isEmpty { peer.dropTransient() }
    subscribe(to: names.map { TopicWish(name: $0) }, id: [], peer)
  }

  // MARK: Refusals

  /// A browser can't see the status of a refused upgrade: it is let in, told why, and closed.
  private func refuseUpgrade(_ refusal: Refusal, _ request: Request, _ offer: UpgradeOffer?) {
    owner.statistics.upgradesRefused &+= 1
    guard let offer, hub.options.explainInBand, refusal.closeCode != 0, let origin = request.origin, hub.cors.allows(origin),
      case .accepted(let answer) = UpgradeVerdict.decide(offer, explaining(offer))
    else { return refuse(refusal, to: request) }
    owner.logRefusal(self, refusal, owner.requestID())
    answer.bytes.withUnsafeBytes { output.append($0) }
    let text = HubMessage.error(id: [], code: refusal.code, message: refusal.message.bytes)
    append(.text(text))
    append(.close(refusal.closeCode, refusal.message.bytes))
    finishAnswer(false)
  }

  private func append(_ frame: SharedFrame) { withExtendedLifetime(frame) { output.append(frame.bytes) } }

  /// Whatever subprotocol the browser offered first, so that it takes the answer.
  private func explaining(_ offer: UpgradeOffer) -> UpgradeTerms {
    var terms = UpgradeTerms()
    terms.compression = nil
    if let first = offer.subprotocols.first { terms.subprotocols = [first] }
    return terms
  }
}
