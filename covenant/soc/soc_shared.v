// Several managers on one port of a memory: a burst at a time, of those that ask the next in turn. As plain as an interconnect can be, so that what
// sharing costs at most is seen.
module covenant_soc_shared #(
    parameter READ_PORTS = 2,
    parameter WRITE_PORTS = 2,
    parameter ADDRESS_BITS = 32,
    parameter DATA_BITS = 64
) (
    input clk,
    input rst,
    input [READ_PORTS-1:0] arvalid, output [READ_PORTS-1:0] arready,
    input [READ_PORTS*ADDRESS_BITS-1:0] araddr, input [READ_PORTS*8-1:0] arlen, input [READ_PORTS*3-1:0] arsize, input [READ_PORTS*2-1:0] arburst,
    output [READ_PORTS-1:0] rvalid, input [READ_PORTS-1:0] rready,
    output [READ_PORTS*DATA_BITS-1:0] rdata, output [READ_PORTS*2-1:0] rresp, output [READ_PORTS-1:0] rlast,
    input [WRITE_PORTS-1:0] awvalid, output [WRITE_PORTS-1:0] awready,
    input [WRITE_PORTS*ADDRESS_BITS-1:0] awaddr, input [WRITE_PORTS*8-1:0] awlen, input [WRITE_PORTS*3-1:0] awsize, input [WRITE_PORTS*2-1:0] awburst,
    input [WRITE_PORTS-1:0] wvalid, output [WRITE_PORTS-1:0] wready,
    input [WRITE_PORTS*DATA_BITS-1:0] wdata, input [WRITE_PORTS*DATA_BITS/8-1:0] wstrb, input [WRITE_PORTS-1:0] wlast,
    output [WRITE_PORTS-1:0] bvalid, input [WRITE_PORTS-1:0] bready, output [WRITE_PORTS*2-1:0] bresp,

    output m_arvalid, input m_arready, output [ADDRESS_BITS-1:0] m_araddr, output [7:0] m_arlen, output [2:0] m_arsize, output [1:0] m_arburst,
    input m_rvalid, output m_rready, input [DATA_BITS-1:0] m_rdata, input [1:0] m_rresp, input m_rlast,
    output m_awvalid, input m_awready, output [ADDRESS_BITS-1:0] m_awaddr, output [7:0] m_awlen, output [2:0] m_awsize, output [1:0] m_awburst,
    output m_wvalid, input m_wready, output [DATA_BITS-1:0] m_wdata, output [DATA_BITS/8-1:0] m_wstrb, output m_wlast,
    input m_bvalid, output m_bready, input [1:0] m_bresp
);
    reg [7:0] reader, writer;                   // whose turn it is
    reg reading, writing, addressed;            // a burst is under way; its address has been taken
    reg read_asked;
    integer p;

    always @(posedge clk) begin
        if (rst) begin
            reader <= 0; writer <= 0;
            reading <= 0; writing <= 0; addressed <= 0; read_asked <= 0;
        end else begin
            if (!reading) begin
                for (p = READ_PORTS; p >= 1; p = p - 1)
                    if (arvalid[(reader + p) % READ_PORTS]) begin
                        reader <= (reader + p) % READ_PORTS;
                        reading <= 1'b1;
                        read_asked <= 1'b0;
                    end
            end else begin
                if (m_arvalid && m_arready) read_asked <= 1'b1;
                if (m_rvalid && m_rready && m_rlast) reading <= 1'b0;
            end
            if (!writing) begin
                for (p = WRITE_PORTS; p >= 1; p = p - 1)
                    if (awvalid[(writer + p) % WRITE_PORTS]) begin
                        writer <= (writer + p) % WRITE_PORTS;
                        writing <= 1'b1;
                        addressed <= 1'b0;
                    end
            end else begin
                if (m_awvalid && m_awready) addressed <= 1'b1;
                if (m_bvalid && m_bready) writing <= 1'b0;
            end
        end
    end

    assign m_arvalid = reading && !read_asked && arvalid[reader];
    assign m_araddr = araddr[reader*ADDRESS_BITS +: ADDRESS_BITS];
    assign m_arlen = arlen[reader*8 +: 8];
    assign m_arsize = arsize[reader*3 +: 3];
    assign m_arburst = arburst[reader*2 +: 2];
    assign arready = (reading && !read_asked && m_arready) ? (1 << reader) : 0;
    assign rvalid = (reading && m_rvalid) ? (1 << reader) : 0;
    assign m_rready = reading && rready[reader];
    assign rdata = {READ_PORTS{m_rdata}};
    assign rresp = {READ_PORTS{m_rresp}};
    assign rlast = {READ_PORTS{m_rlast}};
    assign m_awvalid = writing && !addressed && awvalid[writer];
    assign m_awaddr = awaddr[writer*ADDRESS_BITS +: ADDRESS_BITS];
    assign m_awlen = awlen[writer*8 +: 8];
    assign m_awsize = awsize[writer*3 +: 3];
    assign m_awburst = awburst[writer*2 +: 2];
    assign awready = (writing && !addressed && m_awready) ? (1 << writer) : 0;
    assign m_wvalid = writing && addressed && wvalid[writer];
    assign m_wdata = wdata[writer*DATA_BITS +: DATA_BITS];
    assign m_wstrb = wstrb[writer*DATA_BITS/8 +: DATA_BITS/8];
    assign m_wlast = wlast[writer];
    assign wready = (writing && addressed && m_wready) ? (1 << writer) : 0;
    assign bvalid = (writing && m_bvalid) ? (1 << writer) : 0;
    assign m_bready = writing && bready[writer];
    assign bresp = {WRITE_PORTS{m_bresp}};
endmodule
