// SPDX-License-Identifier: Apache-2.0
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

  package init() {}

  package enum Problem {
    case unknownOption(String)
    case badValue(String)
  }

  /// Sets one option; nil if all is well, else the sentence for the caller.
  package mutating func set(_ name: String, _ value: String) -> Problem? {
    var index = 0
    while let entry = OptionTable.entry(index) {
      if equal(entry.name, name) { return set(entry, value) }
      index += 1
    }
    return .unknownOption("unknown option \"\(quoted(name))\"\(suggestion(for: name))")
  }

  private mutating func set(_ entry: OptionEntry, _ value: String) -> Problem? {
    switch entry.kind {
    case .header: return addHeader(value)
    case .list: return addSubprotocol(value)
    case .text: return setText(entry, value)
    case .boolean:
      guard let flag = OptionValue.boolean(value), entry.key != .reconnect || !flag else { return problem(entry, value) }
      setFlag(entry.key, flag)
    case .duration:
      guard let time = OptionValue.duration(value), inRange(time, entry) || (time == 0 && zeroIsOff(entry.key)) else {
        return problem(entry, value)
      }
      setDuration(entry.key, time)
    case .size:
      guard let size = OptionValue.size(value), inRange(size, entry) else { return problem(entry, value) }
      setNumber(entry.key, Int(size))
    case .integer:
      guard let number = OptionValue.integer(value), inRange(number, entry) else { return problem(entry, value) }
      setNumber(entry.key, Int(number))
    }
    return nil
  }

  private func inRange(_ value: Int64, _ entry: OptionEntry) -> Bool {
    value >= entry.minimum && value <= entry.maximum
  }

  private func zeroIsOff(_ key: OptionKey) -> Bool { key == .heartbeatInterval || key == .heartbeatTimeout }

  private func problem(_ entry: OptionEntry, _ value: String) -> Problem {
    let what = OptionValue.hint(entry.kind)
    return .badValue(
      "option \(text(entry.name)) does not take \"\(quoted(value))\"; allowed: \(text(entry.range))\(what)")
  }

  private mutating func setFlag(_ key: OptionKey, _ flag: Bool) {
    switch key {
    case .compression: compression = flag
    case .compressionContextTakeover: compressionContextTakeover = flag
    case .verify: verify = flag
    case .events: events = flag
    default: break
    }
  }

  private mutating func setDuration(_ key: OptionKey, _ time: Int64) {
    switch key {
    case .openTimeout: openTimeout = time
    case .closeTimeout: closeTimeout = time
    case .heartbeatInterval: heartbeatInterval = time
    case .heartbeatTimeout: heartbeatTimeout = time
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
    default: break
    }
  }

  private mutating func setText(_ entry: OptionEntry, _ value: String) -> Problem? {
    if value.utf8.isEmpty { return problem(entry, value) }
    if entry.key == .caFile { caFile = value }
    return nil
  }

  private mutating func addHeader(_ line: String) -> Problem? {
    let bytes = [UInt8](line.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
      return .badValue("option headers does not take \"\(quoted(line))\"; allowed: Name: value")
    }
    var first = colon + 1
    var last = bytes.count
    while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
    while last > first, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
    let name = String(decoding: bytes[0..<colon], as: UTF8.self)
    let value = String(decoding: bytes[first..<last], as: UTF8.self)
    let header = HTTPHeader(name: name, value: value)
    if let problem = HeaderCheck.problem(headers + [header]) { return .badValue(problem) }
    headers.append(header)
    return nil
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
      let distance = editDistance([UInt8](known.utf8), [UInt8](name.utf8), limit: bestDistance)
      if distance < bestDistance {
        best = known
        bestDistance = distance
      }
      index += 1
    }
    return best.utf8.isEmpty ? "" : "; did you mean \(best)?"
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
