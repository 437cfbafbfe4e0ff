// For waveforms: the instruction that each engine works on, as its number among the engine's own, 0 first; all ones where there is none. Where the
// next one starts before the one before has retired it is the next.
module covenant_instructions #(
    parameter ENGINES = 1
) (
    input clk,
    input running,
    input [ENGINES-1:0] start,
    input [ENGINES-1:0] retire,
    output [32*ENGINES-1:0] instruction
);
    genvar e;
    generate
        for (e = 0; e < ENGINES; e = e + 1) begin : engine
            reg [31:0] started = 0;
            reg [31:0] retired = 0;
            always @(posedge clk) begin
                started <= running ? started + {31'd0, start[e]} : 32'd0;
                retired <= running ? retired + {31'd0, retire[e]} : 32'd0;
            end
            assign instruction[32*e +: 32] = start[e] ? started : started != retired ? started - 32'd1 : 32'hffffffff;
        end
    endgenerate
endmodule
