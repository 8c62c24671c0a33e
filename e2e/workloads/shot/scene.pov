// Spheres on a mirror floor, and a camera that goes once around them.
#version 3.7;
global_settings { assumed_gamma 1.0 max_trace_level 5 }
camera { location <7*cos(2*pi*clock),3,7*sin(2*pi*clock)> look_at <0,0.6,0> angle 40 }
light_source { <4,8,-4> rgb 1.2 area_light <1,0,0>,<0,0,1>,3,3 }
plane { y,0 pigment { checker rgb .3, rgb .7 } finish { reflection .1 } }
#declare R = seed(7);
#for (I,0,11)
  sphere { <4*rand(R)-2,.4,4*rand(R)-2>,.4 pigment { rgb <rand(R),rand(R),rand(R)> } finish { phong .8 reflection .25 } }
#end
