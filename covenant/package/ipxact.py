"""IP-XACT (IEEE 1685-2009, which Vivado reads): ``component.xml`` of the wrapper, and the Tcl that lets Vivado write its own."""

from xml.etree import ElementTree

from acg.graph import Graph
from acg.regmap import RegisterMap
from covenant.package.interface import Bus, Interface
from covenant.package.wrapper import window_bytes, wrapper_name

__all__ = ["NAMESPACE", "VENDOR", "component", "vivado_tcl"]

NAMESPACE = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
VENDOR, LIBRARY, VERSION = "covenant", "accelerator", "1.0"
_ACCESS = {"ro": "read-only", "rw": "read-write"}


def _add(parent: ElementTree.Element, name: str, text: object = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"spirit:{name}", {f"spirit:{key}": value for key, value in attributes.items()})
    if text is not None:
        element.text = str(text)
    return element


def _type(parent: ElementTree.Element, name: str, library: str, kind: str) -> None:
    pairs = {"vendor": "xilinx.com", "library": library, "name": kind, "version": "1.0"}
    ElementTree.SubElement(parent, f"spirit:{name}", {f"spirit:{key}": value for key, value in pairs.items()})


def _bus(parent: ElementTree.Element, bus: Bus) -> None:
    entry = _add(parent, "busInterface")
    _add(entry, "name", bus.name)
    _type(entry, "busType", "interface", "aximm")
    _type(entry, "abstractionType", "interface", "aximm_rtl")
    role = _add(entry, "master" if bus.manager else "slave")
    _add(role, "addressSpaceRef" if bus.manager else "memoryMapRef", **{f"{'addressSpace' if bus.manager else 'memoryMap'}Ref": bus.name})
    maps = _add(entry, "portMaps")
    for port in (*bus.ports.values(), *bus.fixed):
        pair = _add(maps, "portMap")
        _add(_add(pair, "logicalPort"), "name", port.name.removeprefix(f"{bus.name}_").upper())
        _add(_add(pair, "physicalPort"), "name", port.name)
    if not bus.manager:
        parameter = _add(_add(entry, "parameters"), "parameter")
        _add(parameter, "name", "PROTOCOL")
        _add(parameter, "value", "AXI4LITE")


def _signal(parent: ElementTree.Element, name: str, kind: str, logical: str, parameters: dict[str, str], *, drives: bool = False) -> None:
    entry = _add(parent, "busInterface")
    _add(entry, "name", name)
    _type(entry, "busType", "signal", kind)
    _type(entry, "abstractionType", "signal", f"{kind}_rtl")
    _add(entry, "master" if drives else "slave")
    pair = _add(_add(entry, "portMaps"), "portMap")
    _add(_add(pair, "logicalPort"), "name", logical)
    _add(_add(pair, "physicalPort"), "name", name)
    listed = _add(entry, "parameters")
    for key, value in parameters.items():
        parameter = _add(listed, "parameter")
        _add(parameter, "name", key)
        _add(parameter, "value", value)


def component(graph: Graph, interface: Interface, *, banner: str, files: dict[str, list[str]]) -> str:
    """Text of ``component.xml``. ``files``: names by set, ``synthesis`` and ``simulation``; ``banner``: sentences that it begins with."""
    ElementTree.register_namespace("spirit", NAMESPACE)
    root = ElementTree.Element("spirit:component", {"xmlns:spirit": NAMESPACE})
    for key, value in (("vendor", VENDOR), ("library", LIBRARY), ("name", wrapper_name(interface.top)), ("version", VERSION)):
        _add(root, key, value)
    buses = _add(root, "busInterfaces")
    registers = RegisterMap(graph)
    for bus in interface.buses:
        _bus(buses, bus)
    names = ":".join(bus.name for bus in interface.buses)
    _signal(buses, "aclk", "clock", "CLK", {"ASSOCIATED_BUSIF": names, "ASSOCIATED_RESET": "aresetn"})
    _signal(buses, "aresetn", "reset", "RST", {"POLARITY": "ACTIVE_LOW"})
    _signal(buses, "irq", "interrupt", "INTERRUPT", {"SENSITIVITY": "LEVEL_HIGH"}, drives=True)
    spaces = _add(root, "addressSpaces")
    for bus in interface.managers:
        space = _add(spaces, "addressSpace")
        _add(space, "name", bus.name)
        _add(space, "range", window_bytes(graph.external.size_bytes))
        _add(space, "width", interface.data_bits)
    memory_map = _add(_add(root, "memoryMaps"), "memoryMap")
    _add(memory_map, "name", interface.control.name)
    block = _add(memory_map, "addressBlock")
    for key, text in (("name", "registers"), ("baseAddress", 0), ("range", registers.size_bytes), ("width", 32), ("usage", "register")):
        _add(block, key, text)
    for register in registers.registers:
        entry = _add(block, "register")
        for key, text in (("name", register.name), ("description", register.doc), ("addressOffset", f"{register.offset_bytes:#x}"), ("size", 32),
                          ("access", _ACCESS[register.access])):
            _add(entry, key, text)
        _add(_add(entry, "reset"), "value", f"{register.reset:#x}")
    model = _add(root, "model")
    views = _add(model, "views")
    for view, kind in (("synthesis", "synthesis"), ("simulation", "simulation")):
        entry = _add(views, "view")
        _add(entry, "name", view)
        _add(entry, "envIdentifier", f"verilogSource:vivado.xilinx.com:{kind}")
        _add(entry, "language", "verilog")
        _add(entry, "modelName", wrapper_name(interface.top))
        _add(_add(entry, "fileSetRef"), "localName", view)
    ports = _add(model, "ports")
    for port in interface.wrapped:
        entry = _add(ports, "port")
        _add(entry, "name", port.name)
        wire = _add(entry, "wire")
        _add(wire, "direction", {"input": "in", "output": "out"}[port.direction])
        if port.width > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", port.width - 1)
            _add(vector, "right", 0)
    parameters = _add(model, "modelParameters")
    parameter = _add(parameters, "modelParameter", dataType="std_logic_vector")
    _add(parameter, "name", "MEMORY_BASE")
    _add(parameter, "value", 0, format="bitString", bitStringLength=str(interface.address_bits), resolve="user", id="MODELPARAM_VALUE.MEMORY_BASE")
    sets = _add(root, "fileSets")
    for name, members in files.items():
        entry = _add(sets, "fileSet")
        _add(entry, "name", name)
        for member in members:
            file = _add(entry, "file")
            _add(file, "name", member)
            if member.endswith(".xdc"):
                _add(file, "userFileType", "xdc")
                _add(file, "userFileType", "USED_IN_out_of_context")
            else:
                _add(file, "fileType", "verilogSource")
    _add(root, "description", graph.summary)
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {banner} -->\n{ElementTree.tostring(root, encoding="unicode")}\n'


def vivado_tcl(interface: Interface, *, banner: str, files: list[str]) -> str:
    """Tcl for ``vivado -mode batch -source``: packages the wrapper, whose buses Vivado infers from its attributes, into the folder ``ip``."""
    name = wrapper_name(interface.top)
    sources = " ".join(f"$here/{file}" for file in files)
    return "\n".join([
        banner,
        "# vivado -mode batch -source package_ip.tcl -tclargs PART   (PART: any device of the family, xczu3eg-sbva484-1-e unless given)",
        "set here [file dirname [file normalize [info script]]]",
        "set part [expr {[llength $argv] > 0 ? [lindex $argv 0] : {xczu3eg-sbva484-1-e}}]",
        "create_project -in_memory -part $part",
        f"read_verilog [list {sources}]",
        f"set_property top {name} [current_fileset]",
        f"ipx::package_project -root_dir $here/ip -vendor {VENDOR} -library {LIBRARY} -name {name} -version {VERSION} -import_files -set_current true",
        "set core [ipx::current_core]",
        "set_property supported_families {zynq Production zynquplus Production artix7 Production kintex7 Production kintexu Production "
        "kintexuplus Production versal Beta} $core",
        *(f"ipx::associate_bus_interfaces -busif {bus.name} -clock aclk $core" for bus in interface.buses),
        "ipx::update_checksums $core", "ipx::check_integrity $core", "ipx::save_core $core", "",
    ])
