// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseServe
import PulseText
import PulseTransport
import PulseWire

/// What is at a path.
final class HubRoute: @unchecked Sendable {  // nothing changes once the hub runs
  enum Kind {
    case stream, application
    case files(HubFolder)
    case health, status, stats, metrics, peers, publish
  }

  let path: [UInt8]
  var options = RouteOptions()
  fileprivate(set) var kind: Kind
  /// Its place among the routes.
  let index: Int
  /// Of a stream.
  fileprivate(set) var terms = UpgradeTerms()

  @inline(never) init(path: [UInt8], index: Int, kind: Kind = .stream) {
    self.path = path
    self.index = index
    self.kind = kind
  }

  /// The protocol of the hub's own envelope.
  static let pulse: Literal = "pulse.v1"
}

/// A folder whose files are served.
final class HubFolder: @unchecked Sendable {  // the descriptor stays open as long as it lives
  private let descriptor: Int32
  let files: StaticFiles

  init(_ path: [UInt8]) throws(TransportError) {
    let path = String(bytes: path)
    let opened = psys_folder_open(path.cString)
    if opened < 0 { throw TransportError(errno: -opened, "can't serve the folder \(path)") }
    descriptor = opened
    files = StaticFiles()
  }

  deinit { psys_close(descriptor) }

  /// The descriptor and what is there; -errno and nothing else if there is no such file.
  func open(_ path: [UInt8]) -> (descriptor: Int32, file: psys_served_file) {
    var file = psys_served_file()
    let opened = psys_file_beneath(descriptor, String(bytes: path).cString, &file)
    return (opened, file)
  }
}

/// The routes of a hub: those that were asked for, its own, and `/ws/stream` where nothing else is at that path.
struct HubRoutes {
  private static let most = 1000
  private static var own: TextTable {
    TextTable("/ws/health\0/ws/status\0/ws/stats\0/metrics\0/ws/peers\0/ws/publish\0", rows: 6, columns: 1)
  }

  /// By the row of `own`.
  @inline(never) private static func kind(_ row: Int) -> HubRoute.Kind {
    switch row {
    case 0: .health
    case 1: .status
    case 2: .stats
    case 3: .metrics
    case 4: .peers
    default: .publish
    }
  }

  private(set) var all: [HubRoute] = []
  private var table = RouteTable()

  mutating func set(_ path: [UInt8], _ name: [UInt8], _ value: [UInt8]) -> Failure? {
    var found: HubRoute?
    for route in all where HTTPText.same(route.path[...], path[...]) { found = route }
    if let found {
      if !name.isEmpty, let refusal = found.options.set(name, value) { return Failure(refusal) }
      return nil
    }
    if path.first != UInt8(ascii: "/") { return Failure(.badValue, "the path \(quoted: path[...]) does not begin with /") }
    if all.count >= HubRoutes.most { return Failure(.badValue, "a hub has at most \(HubRoutes.most) routes") }
    let made = HubRoute(path: path, index: all.count)
    if !name.isEmpty, let refusal = made.options.set(name, value) { return Failure(refusal) }
    all.append(made)
    return nil
  }

  /// Makes all routes ready.
  mutating func finish(for hub: Hub) throws(Failure) {
    var hasStream = false
    for route in all {
      try prepare(route, hub)
      if case .stream = route.kind { hasStream = true }
    }
    let stream: Literal = "/ws/stream"
    if !hasStream {
      let made = HubRoute(path: Array(stream.bytes), index: all.count)
      all.append(made)
      try prepare(made, hub)
    }
    var rows = HubRoutes.own.rows
    while let row = rows.next() {
      let path = Array(rows.text(0).bytes)
      var isTaken = false
      for route in all where HTTPText.same(route.path[...], path[...]) { isTaken = true }
      // Without a token nobody may publish, so that there is no such path.
      if isTaken || (row == 5 && hub.options.publishToken.isEmpty && hub.keys.isEmpty) { continue }
      if row == 4, !hub.options.listPeers { continue }
      let made = HubRoute(path: path, index: all.count, kind: HubRoutes.kind(row))
      all.append(made)
      try add(made, .http, row == 5 ? .post : .get)
    }
  }

  @inline(never) private mutating func prepare(_ route: HubRoute, _ hub: Hub) throws(Failure) {
    switch route.options.kind {
    case .stream:
      route.terms = try HubRoutes.terms(route, hub)
      try add(route, .webSocket, .get)
    case .application:
      route.kind = .application
      try add(route, .http, [.get, .post, .put, .patch, .delete, .options])
    case .static:
      if route.options.folder.isEmpty { throw Failure(.badValue, "the route \(quoted: route.path[...]) needs option folder") }
      do throws(TransportError) { route.kind = .files(try HubFolder(route.options.folder)) } catch { throw Failure(error) }
      try add(route, .http, .get)
    }
  }

  @inline(never) private mutating func add(_ route: HubRoute, _ kind: RouteTable.Kind, _ methods: Methods) throws(Failure) {
    let isPrefix = route.path.last == UInt8(ascii: "/")
    if let problem = table.add(route.path, isPrefix: isPrefix, kind, methods: methods, route: route.index) {
      throw Failure(.badValue, text: problem)
    }
  }

  @inline(never) private static func terms(_ route: HubRoute, _ hub: Hub) throws(Failure) -> UpgradeTerms {
    var terms = UpgradeTerms()
    if route.options.wireProtocol != .plain { terms.subprotocols.append(HubRoute.pulse.description) }
    terms.requiresSubprotocol = route.options.wireProtocol == .pulse
    for name in route.options.subprotocols {
      if !HTTPText.isToken(name[...]) { throw Failure(.badValue, "the subprotocol \(quoted: name[...]) is no token") }
      terms.subprotocols.append(String(bytes: name))
    }
    if !hub.options.compression { terms.compression = nil }
    terms.headers = hub.serverHeaders
    return terms
  }

  /// The route of a request, and for a prefix where in the path begins what is behind it.
  func match(_ request: Request) -> Result<(route: HubRoute, rest: Int), Refusal> {
    switch table.match(request) {
    case .route(let index, let rest): .success((all[index], rest))
    case .refused(let refusal): .failure(refusal)
    }
  }

  func methods(of path: [UInt8]) -> Methods { table.methods(of: path) }
}
