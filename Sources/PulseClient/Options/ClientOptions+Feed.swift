// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

/// What a full queue of received messages does.
package enum ReceivePolicy: UInt8, Sendable { case pause, dropOldest, conflate, disconnect }

/// A set of options, by their index in the table.
struct OptionMask: Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  subscript(_ index: Int) -> Bool {
    get { (index < 64 ? low >> UInt64(index & 63) : high >> UInt64(index & 63)) & 1 != 0 }
    set {
      let bit: UInt64 = 1 << UInt64(index & 63)
      if index < 64 { low = newValue ? low | bit : low & ~bit } else { high = newValue ? high | bit : high & ~bit }
    }
  }
}

/// The options of feeds and of the way to them; presets.
extension ClientOptions {
  private static let mostPaths = 4
  private static let mostPins = 16

  // MARK: Presets

  /// Sets what the caller has chosen. What a preset has put into a list goes with the first value of the caller's own.
  mutating func choose(_ entry: OptionEntry, _ index: Int, _ value: String) -> Problem? {
    if entry.key == .preset { return usePreset(entry, value) }
    var changed = self
    if changed.preselected[index] { changed.removeAll(entry.key) }
    changed.preselected[index] = false
    changed.chosen[index] = true
    if let problem = changed.set(entry, value) { return problem }
    self = changed
    return nil
  }

  /// Empties a list, or a text without a default.
  private mutating func removeAll(_ key: OptionKey) {
    switch key {
    case .headers: headers = []
    case .subprotocols: subprotocols = []
    case .rateLimit: rateLimits = []
    case .heartbeatReply: heartbeatReply = PatternList()
    case .heartbeatRequest: heartbeatRequest = PatternList()
    case .serverHeartbeat: serverHeartbeat = PatternList()
    case .login: login = []
    case .loginConfirm: loginConfirm = PatternList()
    case .loginReject: loginReject = PatternList()
    case .subscribeConfirm: subscribeConfirm = PatternList()
    case .subscribeReject: subscribeReject = PatternList()
    case .keyPath: keyPath = []
    case .sequenceKey: sequenceKey = []
    case .rotateOn: rotateOn = PatternList()
    case .heartbeatMessage: heartbeatMessage = nil
    case .heartbeatAnswer: heartbeatAnswer = nil
    case .subscribeMessage: subscribeMessage = nil
    case .unsubscribeMessage: unsubscribeMessage = nil
    case .sequencePath: sequencePath = []
    case .sequencePrevious: sequencePrevious = nil
    default: break
    }
  }

  private mutating func usePreset(_ entry: OptionEntry, _ value: String) -> Problem? {
    var changed = self
    var index = 0
    while let preset = PresetTable.entry(index) {
      if equal(preset.name, value) {
        changed.preset = index
        changed.removePreselected()
        if let problem = changed.apply(preset) { return problem }
        self = changed
        return nil
      }
      index += 1
    }
    return problem(entry, value)
  }

  /// What a preset before has set goes: the two would not mean anything together.
  private mutating func removePreselected() {
    var index = 0
    while let entry = OptionTable.entry(index) {
      if preselected[index] {
        removeAll(entry.key)
        if entry.kind != .list && !entry.defaultValue.isEmpty { _ = set(entry, text(entry.defaultValue)) }
        preselected[index] = false
      }
      index += 1
    }
  }

  private mutating func apply(_ preset: PresetEntry) -> Problem? {
    // One line an option, "name=value".
    let all = preset.options.bytes
    var start = 0
    while start < all.count {
      var end = start
      while end < all.count && all[end] != 0x0A { end += 1 }
      var equals = start
      while equals < end && all[equals] != 0x3D { equals += 1 }
      let name = String(bytes: UnsafeBufferPointer(rebasing: all[start..<equals]))
      let value = String(bytes: UnsafeBufferPointer(rebasing: all[(equals < end ? equals + 1 : end)..<end]))
      start = end + 1
      if let problem = preselect(name, value) { return problem }
    }
    return nil
  }

  private mutating func preselect(_ name: String, _ value: String) -> Problem? {
    var index = 0
    while let entry = OptionTable.entry(index) {
      if equal(entry.name, name) {
        if chosen[index] { return nil }
        preselected[index] = true
        return set(entry, value)
      }
      index += 1
    }
    return .unknownOption(sentence("a preset has the unknown option \(name)"))
  }

  // MARK: Values

  mutating func setFeedChoice(_ key: OptionKey, _ value: String) -> Bool {
    switch key {
    case .receiveQueuePolicy:
      if equal(value, "pause") {
        receiveQueuePolicy = .pause
      } else if equal(value, "drop_oldest") {
        receiveQueuePolicy = .dropOldest
      } else if equal(value, "conflate") {
        receiveQueuePolicy = .conflate
      } else if equal(value, "disconnect") {
        receiveQueuePolicy = .disconnect
      } else {
        return false
      }
      return true
    case .sequenceRule:
      sequenceIncreases = equal(value, "increasing")
      return sequenceIncreases || equal(value, "consecutive")
    case .sequenceScope:
      sequenceOfConnection = equal(value, "connection")
      return sequenceOfConnection || equal(value, "feed")
    case .tlsMinVersion:
      requiresTLS13 = equal(value, "1.3")
      return requiresTLS13 || equal(value, "1.2")
    case .loginRejectAction:
      loginRejectStops = equal(value, "stop")
      return loginRejectStops || equal(value, "retry")
    case .subscribeRejectAction:
      subscribeRejectReconnects = equal(value, "reconnect")
      return subscribeRejectReconnects || equal(value, "drop")
    default:
      return false
    }
  }

  /// The length was looked at.
  mutating func setFeedText(_ entry: OptionEntry, _ value: String) -> Problem? {
    for byte in value.bytes where byte == 0 { return problem(entry, value) }
    switch entry.key {
    case .journal: journal = value
    case .clientCertificate: clientCertificate = value
    case .clientKey: clientKey = value
    case .clientKeyPassword: clientKeyPassword = value
    case .serverName:
      guard ClientOptions.isHostName(value.bytes) else { return problem(entry, value) }
      serverName = value
    case .proxy:
      if case .bad(let wrong) = ProxyRules.choice(value, "option proxy") { return .badValue(wrong) }
      proxy = value
    case .proxyCAFile: proxyCAFile = value
    case .twin:
      switch WebSocketURL.parse(value) {
      case .failure(let wrong): return .badValue(sentence("option twin: \(wrong.text)"))
      case .success(let url): twin = url
      }
    case .sequencePath: return setSequencePath(entry, value.bytes)
    case .sequencePrevious:
      switch JSONPath.parse(value.bytes) {
      case .failure(let wrong): return problem(entry, wrong)
      case .success(let path): sequencePrevious = path
      }
    default: break
    }
    return nil
  }

  /// One path, or two with a comma between.
  private mutating func setSequencePath(_ entry: OptionEntry, _ text: [UInt8]) -> Problem? {
    var paths: [JSONPath] = []
    var start = 0
    for index in 0...text.count where index == text.count || text[index] == UInt8(ascii: ",") {
      switch JSONPath.parse(Array(text[start..<index])) {
      case .failure(let wrong): return problem(entry, wrong)
      case .success(let path): paths.append(path)
      }
      start = index + 1
    }
    if paths.count > 2 { return problem(entry, String(bytes: text)) }
    sequencePath = paths
    return nil
  }

  mutating func addFeedValue(_ entry: OptionEntry, _ value: String) -> Problem? {
    if entry.key == .pinSHA256 {
      guard pins.count < ClientOptions.mostPins, let pin = ClientOptions.pin(value.bytes) else {
        return problem(entry, value)
      }
      pins.append(pin)
      return nil
    }
    let isFull = (entry.key == .keyPath ? keyPath.count : sequenceKey.count) >= ClientOptions.mostPaths
    if isFull { return problem(entry, value) }
    switch JSONPath.parse(value.bytes) {
    case .failure(let wrong): return problem(entry, wrong)
    case .success(let path): if entry.key == .keyPath { keyPath.append(path) } else { sequenceKey.append(path) }
    }
    return nil
  }

  /// Letters, digits, and what addresses have besides; other alphabets come as A-labels (RFC 5890 §2.3.2.1).
  private static func isHostName(_ text: [UInt8]) -> Bool {
    var isMore = false
    for byte in text {
      let isLetter = byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
      let isOther = byte >= UInt8(ascii: "-") && byte <= UInt8(ascii: ":") && byte != UInt8(ascii: "/")
      if !isLetter && !isOther && byte != UInt8(ascii: "_") { return false }
      if byte != UInt8(ascii: ".") { isMore = true }
    }
    // Of a dot alone nothing would be left to check.
    return isMore
  }

  /// 32 bytes from base64, with or without "sha256/" or "sha256//" before.
  static func pin(_ text: [UInt8]) -> [UInt8]? {
    var digits = text[...]
    let prefix: Literal = "sha256/"
    if digits.count > 44, prefix.begins(digits) {
      digits = digits.dropFirst(prefix.count)
      if digits.first == UInt8(ascii: "/") && digits.count > 44 { digits = digits.dropFirst() }
    }
    guard digits.count == 44, digits.last == UInt8(ascii: "=") else { return nil }
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for digit in digits.dropLast() {
      guard let value = base64(digit) else { return nil }
      bits = bits << 6 | value
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return bytes.count == 32 ? bytes : nil
  }

  private static func base64(_ digit: UInt8) -> UInt32? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit) - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit) + 4
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
