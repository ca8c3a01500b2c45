// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseWire

/// Every option of a client, with its default; text in, typed values out.
package struct ClientOptions: Sendable {
  package var headers: [HTTPHeader] = []
  package var subprotocols: [String] = []
  package var openTimeout: Int64 = 10_000_000_000
  package var closeTimeout: Int64 = 5_000_000_000
  package var heartbeatInterval: Int64 = 30_000_000_000
  package var heartbeatTimeout: Int64 = 60_000_000_000
  package var maxMessageSize = 16 << 20
  package var receiveQueueBytes = 4 << 20
  package var messageQueueSize = 1000
  package var messageQueueBytes = 16 << 20
  package var compression = true
  package var compressionThreshold = 256
  package var compressionContextTakeover = true
  package var compressionWindowBits = 15
  package var caFile: String? = nil
  package var verify = true
  package var events = false
  package var name = ""

  // Staying connected
  package var reconnect = true
  package var maxReconnectAttempts = 10
  package var reconnectBaseDelay: Int64 = 1_000_000_000
  package var reconnectMaxDelay: Int64 = 60_000_000_000
  package var jitterPermille = 500
  package var stableTime: Int64 = 10_000_000_000
  package var restartDelay: Int64 = 5_000_000_000
  package var retryFatal = false

  // Endpoints
  package var endpoints: [WebSocketURL] = []
  package var endpointReturn: Int64 = 300_000_000_000
  package var breakerFailures = 5
  package var breakerTimeout: Int64 = 30_000_000_000
  package var hostConnects = 32
  package var hostConnectRate = RateWindow(count: 50, duration: 1_000_000_000)

  // Heartbeats and staleness
  package var heartbeatMessage: Template? = nil
  package var heartbeatReply = PatternList()
  package var heartbeatRequest = PatternList()
  package var heartbeatAnswer: Template? = nil
  package var serverHeartbeat = PatternList()
  package var serverHeartbeatTimeout: Int64 = 0
  package var deliverHeartbeats = false
  package var staleTimeout: Int64 = 0
  package var staleReconnects = false

  // Outbox
  package var messageQueuePolicy = OverflowPolicy.dropOldest
  package var messageTTL: Int64 = 0
  package var backlogInterval: Int64 = 100_000_000
  package var rateLimits: [RateWindow] = []
  package var rateLimitControl = false

  // Login and subscriptions
  package var login: [Template] = []
  package var loginConfirm = PatternList()
  package var loginReject = PatternList()
  package var loginTimeout: Int64 = 10_000_000_000
  package var holdLogin = false
  package var holdConnect = false
  package var subscribeMessage: Template? = nil
  package var unsubscribeMessage: Template? = nil
  package var subscribeBatch = 100
  package var subscribeInterval: Int64 = 0
  package var subscribeConfirm = PatternList()
  package var subscribeReject = PatternList()
  package var subscribeTimeout: Int64 = 10_000_000_000
  package var loginRejectStops = false
  package var subscribeRejectReconnects = false
  package var fatalCloseCodes: [UInt32] = []

  // The outbox on disk
  package var journal: String? = nil
  package var journalSize = 64 << 20

  // Delivery
  package var receiveQueuePolicy = ReceivePolicy.pause
  package var keyPath: [JSONPath] = []
  package var sequencePath: [JSONPath] = []
  package var sequencePrevious: JSONPath? = nil
  package var sequenceKey: [JSONPath] = []
  package var sequenceIncreases = false
  package var sequenceOfConnection = false
  package var staleKeyTimeout: Int64 = 0

  // Two connections at once
  package var maxAge: Int64 = 0
  package var rotateOn = PatternList()
  package var rotationOverlap: Int64 = 1_000_000_000
  package var twin: WebSocketURL? = nil
  package var twinWait: Int64 = 50_000_000

  // TLS
  package var clientCertificate: String? = nil
  package var clientKey: String? = nil
  package var clientKeyPassword: String? = nil
  /// SHA-256 values of 32 bytes.
  package var pins: [[UInt8]] = []
  package var requiresTLS13 = false
  package var serverName: String? = nil
  package var tlsResumption = true

  // The way
  /// As given: a URL, "none", or nil for what the environment says.
  package var proxy: String? = nil
  package var proxyCAFile: String? = nil
  package var maxRedirects = 5

  /// Of the table of presets; -1 for none.
  package var preset = -1
  /// By index of the table: set by the caller, and set by a preset.
  var chosen = OptionMask()
  var preselected = OptionMask()

  @inline(never) package init() {}

  package enum Problem {
    case unknownOption(String)
    case badValue(String)
  }

  /// Sets one option; nil if all is well, else the sentence for the caller.
  package mutating func set(_ name: String, _ value: String) -> Problem? {
    var index = 0
    while let entry = OptionTable.entry(index) {
      if equal(entry.name, name) { return choose(entry, index, value) }
      index += 1
    }
    return .unknownOption(sentence("unknown option \"\(quoted(name))\"\(suggestion(for: name))"))
  }

  mutating func set(_ entry: OptionEntry, _ value: String) -> Problem? {
    switch entry.kind {
    case .header: return addHeader(value)
    case .list: return add(entry, value)
    case .text: return setText(entry, value)
    case .choice:
      guard setChoice(entry.key, value) else { return problem(entry, value) }
    case .boolean:
      guard let flag = OptionValue.boolean(value) else { return problem(entry, value) }
      setFlag(entry.key, flag)
    case .duration:
      guard let time = OptionValue.duration(value), inRange(time, entry) || (time == 0 && zeroIsOff(entry)) else {
        return problem(entry, value)
      }
      setDuration(entry.key, time)
    case .size:
      guard let size = OptionValue.size(value), inRange(size, entry) else { return problem(entry, value) }
      setNumber(entry.key, Int(size))
    case .integer:
      guard let number = OptionValue.integer(value), inRange(number, entry) else { return problem(entry, value) }
      setNumber(entry.key, Int(number))
    case .number:
      guard let number = OptionValue.thousandths(value), inRange(number, entry) else { return problem(entry, value) }
      setNumber(entry.key, Int(number))
    }
    return nil
  }

  private func inRange(_ value: Int64, _ entry: OptionEntry) -> Bool {
    value >= entry.minimum && value <= entry.maximum
  }

  /// The range of an option that zero turns off begins with it.
  private func zeroIsOff(_ entry: OptionEntry) -> Bool {
    entry.range.count > 1 && entry.range.start[0] == 0x30 && entry.range.start[1] == 0x20
  }

  func problem(_ entry: OptionEntry, _ value: String) -> Problem {
    switch entry.key {
    case .clientKeyPassword, .proxy:
      // It may hold a password.
      return .badValue(sentence("option \(entry.name) does not take this; allowed: \(entry.range)"))
    case .login, .heartbeatMessage, .heartbeatAnswer, .subscribeMessage, .unsubscribeMessage:
      // The text may hold a key.
      return .badValue(
        sentence("option \(entry.name) does not take this text; allowed: 1 to 4096 bytes, \(entry.range)"))
    default:
      break
    }
    let what = OptionValue.hint(entry.kind)
    return .badValue(
      sentence("option \(entry.name) does not take \"\(quoted(value))\"; allowed: \(entry.range)\(what)"))
  }

  func problem(_ entry: OptionEntry, _ problem: PatternProblem) -> Problem {
    .badValue(sentence("option \(entry.name): \(problem.text)"))
  }

  private mutating func setFlag(_ key: OptionKey, _ flag: Bool) {
    switch key {
    case .compression: compression = flag
    case .compressionContextTakeover: compressionContextTakeover = flag
    case .verify: verify = flag
    case .events: events = flag
    case .reconnect: reconnect = flag
    case .retryFatal: retryFatal = flag
    case .deliverHeartbeats: deliverHeartbeats = flag
    case .rateLimitControl: rateLimitControl = flag
    case .holdLogin: holdLogin = flag
    case .holdConnect: holdConnect = flag
    case .tlsResumption: tlsResumption = flag
    default: break
    }
  }

  private mutating func setDuration(_ key: OptionKey, _ time: Int64) {
    switch key {
    case .openTimeout: openTimeout = time
    case .closeTimeout: closeTimeout = time
    case .heartbeatInterval: heartbeatInterval = time
    case .heartbeatTimeout: heartbeatTimeout = time
    case .reconnectBaseDelay: reconnectBaseDelay = time
    case .reconnectMaxDelay: reconnectMaxDelay = time
    case .stableTime: stableTime = time
    case .restartDelay: restartDelay = time
    case .endpointReturn: endpointReturn = time
    case .breakerTimeout: breakerTimeout = time
    case .serverHeartbeatTimeout: serverHeartbeatTimeout = time
    case .staleTimeout: staleTimeout = time
    case .messageTTL: messageTTL = time
    case .backlogInterval: backlogInterval = time
    case .loginTimeout: loginTimeout = time
    case .subscribeInterval: subscribeInterval = time
    case .subscribeTimeout: subscribeTimeout = time
    case .staleKeyTimeout: staleKeyTimeout = time
    case .maxAge: maxAge = time
    case .rotationOverlap: rotationOverlap = time
    case .twinWait: twinWait = time
    default: break
    }
  }

  private mutating func setNumber(_ key: OptionKey, _ number: Int) {
    switch key {
    case .maxMessageSize: maxMessageSize = number
    case .receiveQueueBytes: receiveQueueBytes = number
    case .messageQueueSize: messageQueueSize = number
    case .messageQueueBytes: messageQueueBytes = number
    case .compressionThreshold: compressionThreshold = number
    case .compressionWindowBits: compressionWindowBits = number
    case .maxReconnectAttempts: maxReconnectAttempts = number
    case .jitter: jitterPermille = number
    case .breakerFailures: breakerFailures = number
    case .hostConnects: hostConnects = number
    case .subscribeBatch: subscribeBatch = number
    case .journalSize: journalSize = number
    case .maxRedirects: maxRedirects = number
    default: break
    }
  }

  private mutating func setChoice(_ key: OptionKey, _ value: String) -> Bool {
    switch key {
    case .staleAction:
      staleReconnects = equal(value, "reconnect")
      return staleReconnects || equal(value, "event")
    case .messageQueuePolicy:
      if equal(value, "drop_oldest") {
        messageQueuePolicy = .dropOldest
      } else if equal(value, "drop_newest") {
        messageQueuePolicy = .dropNewest
      } else if equal(value, "reject") {
        messageQueuePolicy = .reject
      } else if equal(value, "block") {
        messageQueuePolicy = .block
      } else {
        return false
      }
      return true
    default:
      return setFeedChoice(key, value)
    }
  }

  private mutating func setText(_ entry: OptionEntry, _ value: String) -> Problem? {
    let count = value.byteCount
    if count == 0 || (entry.maximum > 0 && Int64(count) > entry.maximum) { return problem(entry, value) }
    switch entry.key {
    case .caFile:
      caFile = value
    case .name:
      for byte in value.bytes where byte < 0x20 || byte == 0x7F { return problem(entry, value) }
      name = value
    case .hostConnectRate:
      guard let window = RateLimiter.parse(value) else { return problem(entry, value) }
      hostConnectRate = window
    case .journal, .clientCertificate, .clientKey, .clientKeyPassword, .serverName, .proxy, .proxyCAFile, .twin,
      .sequencePath, .sequencePrevious:
      return setFeedText(entry, value)
    default:
      return setTemplate(entry, value)
    }
    return nil
  }

  private mutating func setTemplate(_ entry: OptionEntry, _ value: String) -> Problem? {
    let template: Template
    switch Template.parse(value.bytes) {
    case .failure(let wrong): return problem(entry, wrong)
    case .success(let parsed): template = parsed
    }
    let takesKeys = entry.key == .subscribeMessage || entry.key == .unsubscribeMessage
    if template.usesKeys != takesKeys || (template.usesRequest && entry.key != .heartbeatAnswer) {
      return problem(entry, value)
    }
    switch entry.key {
    case .heartbeatMessage: heartbeatMessage = template
    case .heartbeatAnswer: heartbeatAnswer = template
    case .subscribeMessage: subscribeMessage = template
    case .unsubscribeMessage: unsubscribeMessage = template
    case .login: login.append(template)
    default: break
    }
    return nil
  }

  /// One more value of a list.
  private mutating func add(_ entry: OptionEntry, _ value: String) -> Problem? {
    switch entry.key {
    case .subprotocols:
      return addSubprotocol(value)
    case .login:
      return value.hasNoBytes ? problem(entry, value) : setTemplate(entry, value)
    case .endpoints:
      switch WebSocketURL.parse(value) {
      case .failure(let wrong): return .badValue(sentence("option endpoints: \(wrong.text)"))
      case .success(let url):
        if endpoints.count == 16 { return .badValue("option endpoints takes at most 16 URLs") }
        endpoints.append(url)
      }
    case .rateLimit:
      guard rateLimits.count < 8, let window = RateLimiter.parse(value) else { return problem(entry, value) }
      rateLimits.append(window)
    case .keyPath, .sequenceKey, .pinSHA256:
      return addFeedValue(entry, value)
    case .fatalCloseCodes:
      guard fatalCloseCodes.count < 64, let code = OptionValue.integer(value), inRange(code, entry) else { return problem(entry, value) }
      fatalCloseCodes.append(UInt32(code))
    default:
      return addPattern(entry, value)
    }
    return nil
  }

  private mutating func addPattern(_ entry: OptionEntry, _ value: String) -> Problem? {
    let pattern: Pattern
    switch Pattern.parse(value.bytes) {
    case .failure(let wrong): return problem(entry, wrong)
    case .success(let parsed): pattern = parsed
    }
    let isOfSubscription = entry.key == .subscribeConfirm || entry.key == .subscribeReject
    let isOfLogin = entry.key == .loginConfirm || entry.key == .loginReject
    if (pattern.usesKey && !isOfSubscription) || (pattern.usesID && !isOfSubscription && !isOfLogin) {
      return problem(entry, value)
    }
    switch entry.key {
    case .heartbeatReply: heartbeatReply.append(pattern)
    case .heartbeatRequest: heartbeatRequest.append(pattern)
    case .serverHeartbeat: serverHeartbeat.append(pattern)
    case .loginConfirm: loginConfirm.append(pattern)
    case .loginReject: loginReject.append(pattern)
    case .subscribeConfirm: subscribeConfirm.append(pattern)
    case .subscribeReject: subscribeReject.append(pattern)
    case .rotateOn: rotateOn.append(pattern)
    default: break
    }
    return nil
  }

  private mutating func addHeader(_ line: String) -> Problem? {
    let bytes = line.bytes
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
      // Not what was given, which may be a token.
      return .badValue("option headers takes Name: value; there is no colon")
    }
    let header = HTTPHeader(
      name: String(bytes: bytes[0..<colon]),
      value: ClientOptions.withoutBlanks(bytes[(colon + 1)...]))
    if let problem = HeaderCheck.problem(headers + [header]) { return .badValue(problem) }
    headers.append(header)
    return nil
  }

  /// A header's value without the blanks around it, which do not belong to it (RFC 9110 §5.5).
  static func withoutBlanks(_ bytes: ArraySlice<UInt8>) -> String {
    var first = bytes.startIndex
    var last = bytes.endIndex
    while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
    while last > first, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
    return String(bytes: bytes[first..<last])
  }

  private mutating func addSubprotocol(_ name: String) -> Problem? {
    if let problem = HeaderCheck.subprotocolProblem(subprotocols + [name]) { return .badValue(problem) }
    subprotocols.append(name)
    return nil
  }

  /// ", did you mean ..." for a name that differs from a known one in few letters.
  private func suggestion(for name: String) -> String {
    var best = ""
    var bestDistance = 4
    var index = 0
    while let entry = OptionTable.entry(index) {
      let known = text(entry.name)
      let distance = editDistance(known.bytes, name.bytes, limit: bestDistance)
      if distance < bestDistance {
        best = known
        bestDistance = distance
      }
      index += 1
    }
    return best.hasNoBytes ? "" : sentence("; did you mean \(best)?")
  }
}

/// The number of letters to add, drop or change to turn `a` into `b`; `limit` if it is that or more.
private func editDistance(_ a: [UInt8], _ b: [UInt8], limit: Int) -> Int {
  if a.count > b.count + limit || b.count > a.count + limit || b.count > 64 { return limit }
  var row = [Int](repeating: 0, count: b.count + 1)
  for j in 0...b.count { row[j] = j }
  for i in 0..<a.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<b.count {
      let change = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      var least = change
      if row[j] + 1 < least { least = row[j] + 1 }
      if row[j + 1] + 1 < least { least = row[j + 1] + 1 }
      row[j + 1] = least
    }
  }
  return row[b.count] < limit ? row[b.count] : limit
}
